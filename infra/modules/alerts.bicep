// What somebody should look at. docs/operating.md says for each what to do, and who is paged.

@description('Unique part of resource names.')
@minLength(13)
@maxLength(13)
param token string

@description('Region.')
param location string

@description('Tags of every resource.')
param tags object

@description('Resource id of the Log Analytics workspace.')
param workspaceId string

@description('Resource id of the Event Hubs namespace.')
param eventHubsId string

@description('Name of the event hub of twin changes.')
param twinChangesHub string

@description('Whether the app sends metrics. The alerts that count them are off without.')
param hasMetrics bool

@description('How many stuck devices, or stuck modules, raise an alert.')
param stuckThreshold int

@description('Mail address that gets every alert; empty: none.')
param email string

@description('Resource id of an action group that gets every alert; empty: none.')
param actionGroupId string

var groupIds = concat(empty(email) ? [] : [group.id], empty(actionGroupId) ? [] : [actionGroupId])

// A workspace gets its tables with the first telemetry, and a rule over a table that is not there is refused. So each
// query has an operand that is always there: an empty table with the columns that it uses.
var metrics = 'union isfuzzy=true (datatable(TimeGenerated:datetime, Name:string, Sum:real, Max:real, Properties:dynamic)[]), AppMetrics'
var requests = 'union isfuzzy=true (datatable(TimeGenerated:datetime, OperationName:string, Success:bool, ResultCode:string)[]), AppRequests'

// Each query gives its number in the column Value.
var rules = [
  {
    name: 'heartbeat'
    title: 'flag_stuck does not run'
    description: 'No run of flag_stuck has succeeded within 15 minutes. Nothing is flagged as stuck, and what the app says may be old.'
    severity: 1
    enabled: hasMetrics
    every: 'PT5M'
    window: 'PT15M'
    // Without a row there is still a count, so silence raises it too.
    query: '${metrics} | where Name == "edge_deployment.timer.success" and tostring(Properties["timer"]) == "flag_stuck" | summarize Value = count()'
    operator: 'LessThan'
    threshold: 1
    dimensions: []
    closesItself: true
  }
  {
    name: 'dead-letters'
    title: 'dead letters'
    description: 'Events could not be processed, or news not be sent for a day. They are in the tables DeadLetter and Notices, each with its reason.'
    severity: 2
    enabled: hasMetrics
    every: 'PT15M'
    window: 'PT15M'
    query: '${metrics} | where Name == "edge_deployment.dead_letters" | summarize Value = sum(Sum)'
    operator: 'GreaterThan'
    threshold: 0
    dimensions: []
    // What was given up is still there when no more is.
    closesItself: false
  }
  {
    name: 'failures'
    title: 'a function keeps failing'
    description: 'A function failed more than twice within three hours. One failure is tried again and heals; the hourly one has failed in each of its runs.'
    severity: 2
    enabled: true
    every: 'PT15M'
    window: 'PT3H'
    // A request that is refused for a fault of its own (4xx) is no failure of the function.
    query: '${requests} | where Success == false and ResultCode !startswith "4" | summarize Value = count() by OperationName'
    operator: 'GreaterThan'
    threshold: 2
    dimensions: [
      {
        name: 'OperationName'
        operator: 'Include'
        values: ['*']
      }
    ]
    closesItself: true
  }
  {
    name: 'lag'
    title: 'the app lags'
    description: 'Within 15 minutes the app came to an event that was older than 15 minutes.'
    severity: 2
    enabled: hasMetrics
    every: 'PT15M'
    window: 'PT15M'
    query: '${metrics} | where Name == "edge_deployment.lag" | project TimeGenerated, Value = Max'
    operator: 'GreaterThan'
    threshold: 900
    dimensions: []
    closesItself: true
  }
  {
    name: 'healed'
    title: 'changes come without a notification'
    description: 'Within an hour resync found more than five changes that no notification had announced. The route of the IoT hub is lost, or drops events.'
    severity: 2
    enabled: hasMetrics
    every: 'PT15M'
    window: 'PT1H'
    query: '${metrics} | where Name == "edge_deployment.resync.healed" | summarize Value = sum(Sum)'
    operator: 'GreaterThan'
    threshold: 5
    dimensions: []
    closesItself: true
  }
  {
    name: 'stuck'
    title: 'devices or modules are stuck'
    description: 'As many devices or modules as the parameter alertStuckThreshold says are past their grace period.'
    severity: 3
    enabled: hasMetrics
    every: 'PT15M'
    window: 'PT15M'
    query: '${metrics} | where Name == "edge_deployment.stuck" | project TimeGenerated, Value = Max'
    operator: 'GreaterThanOrEqual'
    threshold: stuckThreshold
    dimensions: []
    closesItself: true
  }
  {
    name: 'stalled'
    title: 'a rollout has stalled'
    description: 'A deployment is not completed, and for its grace period no further device became successful.'
    severity: 3
    enabled: hasMetrics
    every: 'PT15M'
    window: 'PT15M'
    query: '${metrics} | where Name == "edge_deployment.rollouts.stalled" | project TimeGenerated, Value = Max'
    operator: 'GreaterThan'
    threshold: 0
    dimensions: []
    closesItself: true
  }
  {
    name: 'threshold'
    title: 'a rollout fails on too many devices'
    description: 'More devices of a deployment under way fail than the setting FAILURE_THRESHOLD allows.'
    severity: 2
    enabled: hasMetrics
    every: 'PT5M'
    window: 'PT5M'
    query: '${metrics} | where Name == "edge_deployment.rollouts.over_threshold" | project TimeGenerated, Value = Max'
    operator: 'GreaterThan'
    threshold: 0
    dimensions: []
    closesItself: true
  }
]

resource group 'Microsoft.Insights/actionGroups@2023-01-01' = if (!empty(email)) {
  name: 'ag-${token}'
  location: 'global'
  tags: tags
  properties: {
    enabled: true
    groupShortName: 'edge-status'
    emailReceivers: [
      {
        name: 'email'
        emailAddress: email
        useCommonAlertSchema: true
      }
    ]
  }
}

resource logAlerts 'Microsoft.Insights/scheduledQueryRules@2026-03-01' = [
  for rule in rules: {
    name: 'alert-${rule.name}-${token}'
    location: location
    tags: tags
    kind: 'LogAlert'
    properties: {
      displayName: 'Edge deployment status: ${rule.title}'
      description: rule.description
      severity: rule.severity
      enabled: rule.enabled
      scopes: [workspaceId]
      evaluationFrequency: rule.every
      windowSize: rule.window
      criteria: {
        allOf: [
          {
            query: rule.query
            metricMeasureColumn: 'Value'
            timeAggregation: 'Maximum'
            dimensions: rule.dimensions
            operator: rule.operator
            threshold: rule.threshold
          }
        ]
      }
      autoMitigate: rule.closesItself
      actions: { actionGroups: groupIds }
    }
  }
]

// Events that came in late in the window may be taken after it, so a few alone raise nothing.
resource silence 'Microsoft.Insights/metricAlerts@2026-01-01' = {
  name: 'alert-silence-${token}'
  location: 'global'
  tags: tags
  properties: {
    description: 'Twin changes have come in for half an hour and none was taken out: the app does not run, or may not read.'
    severity: 1
    enabled: true
    scopes: [eventHubsId]
    evaluationFrequency: 'PT5M'
    windowSize: 'PT30M'
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
      allOf: [
        {
          name: 'comes-in'
          criterionType: 'StaticThresholdCriterion'
          metricNamespace: 'Microsoft.EventHub/namespaces'
          metricName: 'IncomingMessages'
          timeAggregation: 'Total'
          operator: 'GreaterThan'
          threshold: 5
          dimensions: [
            {
              name: 'EntityName'
              operator: 'Include'
              values: [twinChangesHub]
            }
          ]
        }
        {
          name: 'is-taken-out'
          criterionType: 'StaticThresholdCriterion'
          metricNamespace: 'Microsoft.EventHub/namespaces'
          metricName: 'OutgoingMessages'
          timeAggregation: 'Total'
          operator: 'LessThanOrEqual'
          threshold: 0
          dimensions: [
            {
              name: 'EntityName'
              operator: 'Include'
              values: [twinChangesHub]
            }
          ]
        }
      ]
    }
    autoMitigate: true
    actions: [for id in groupIds: { actionGroupId: id }]
  }
}
