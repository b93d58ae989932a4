import re,pathlib
V={
"Microsoft.Resources/resourceGroups":"2025-04-01","Microsoft.ManagedIdentity/userAssignedIdentities":"2024-11-30",
"Microsoft.OperationalInsights/workspaces":"2025-07-01","Microsoft.Insights/scheduledQueryRules":"2026-03-01","Microsoft.Insights/metricAlerts":"2026-01-01","Microsoft.Insights/workbooks":"2023-06-01"}
P={"Microsoft.Storage/storageAccounts":"2025-06-01","Microsoft.EventHub/namespaces":"2026-01-01","Microsoft.Web/":"2025-03-01"}
for f in [*pathlib.Path('infra').rglob('*.bicep'), pathlib.Path('checks/infra/schema.py'), pathlib.Path('tests/infra/mistakes.yaml')]:
    s=f.read_text()
    def sub(m):
        t,v=m[1],m[2]
        if t in V: v2=V[t]
        else:
            v2=next((x for p,x in P.items() if t.startswith(p)),v)
        return f"{t}@{v2}"
    s=re.sub(r"(Microsoft\.[A-Za-z]+/[A-Za-z/]+)@(\d{4}-\d\d-\d\d)",sub,s)
    if f.suffix=='.bicep':
        s=s.replace("@description('Unique part of resource names.')\nparam token","@description('Unique part of resource names.')\n@minLength(13)\n@maxLength(13)\nparam token")
        s=re.sub(r"\[ ('?[\w.*$]+'?) \]",r"[\1]",s)
    f.write_text(s)
