"""Tables of logs: what a query can name, by the blade that it is written for.

The columns are those that Microsoft's reference of each table lists, without what no app of ours fills (browsers,
cities, users). The same telemetry has two names: those of the workspace, and those of the Application Insights
component, whose Logs the portal and `azd monitor --logs` open.
"""

from collections.abc import Mapping
from typing import Final

type Columns = Mapping[str, str]
type Tables = Mapping[str, Columns]


def _columns(text: str) -> Columns:
    """Columns by name, from `name:type` words."""
    return dict(word.split(":") for word in text.split())


_OF_EVERY_APP_TABLE: Final = """TimeGenerated:datetime AppRoleInstance:string AppRoleName:string AppVersion:string
    OperationId:string OperationName:string ParentId:string Properties:dynamic SDKVersion:string TenantId:string
    Type:string _BilledSize:real _IsBillable:string _ResourceId:string ItemCount:int """

WORKSPACE: Final[Tables] = {
    "AppExceptions": _columns(
        _OF_EVERY_APP_TABLE
        + """Assembly:string Details:dynamic ExceptionType:string HandledAt:string InnermostMessage:string
        InnermostType:string Measurements:dynamic Message:string Method:string OuterMessage:string OuterType:string
        ProblemId:string SeverityLevel:int"""
    ),
    "AppMetrics": _columns(_OF_EVERY_APP_TABLE + "Max:real Min:real Name:string Sum:real"),
    "AppRequests": _columns(
        _OF_EVERY_APP_TABLE
        + """DurationMs:real Id:string Measurements:dynamic Name:string PerformanceBucket:string ResultCode:string
        Source:string Success:bool Url:string"""
    ),
    "AppTraces": _columns(_OF_EVERY_APP_TABLE + "Measurements:dynamic Message:string SeverityLevel:int"),
    "Usage": _columns(
        "TimeGenerated:datetime DataType:string IsBillable:bool Quantity:real QuantityUnit:string Solution:string"
    ),
}
"""What the Logs of the Log Analytics workspace know."""

_OF_EVERY_COMPONENT_TABLE: Final = """timestamp:datetime itemId:string itemType:string itemCount:int
    customDimensions:dynamic operation_Id:string operation_Name:string operation_ParentId:string cloud_RoleName:string
    cloud_RoleInstance:string application_Version:string appId:string appName:string iKey:string sdkVersion:string """

COMPONENT: Final[Tables] = {
    "customMetrics": _columns(
        _OF_EVERY_COMPONENT_TABLE
        + "name:string value:real valueCount:int valueMax:real valueMin:real valueStdDev:real valueSum:real"
    ),
    "exceptions": _columns(
        _OF_EVERY_COMPONENT_TABLE
        + """assembly:string customMeasurements:dynamic details:dynamic handledAt:string innermostMessage:string
        innermostType:string message:string method:string outerMessage:string outerType:string problemId:string
        severityLevel:int type:string"""
    ),
    "requests": _columns(
        _OF_EVERY_COMPONENT_TABLE
        + """customMeasurements:dynamic duration:real id:string name:string performanceBucket:string resultCode:string
        source:string success:string url:string"""
    ),
    "traces": _columns(_OF_EVERY_COMPONENT_TABLE + "customMeasurements:dynamic message:string severityLevel:int"),
}
"""What the Logs of the Application Insights component know."""

BLADES: Final[Mapping[str, Tables]] = {
    "// Log Analytics workspace": WORKSPACE,
    "// Application Insights": COMPONENT,
}
"""How the first line of a query in the documentation says where it is to be asked."""
