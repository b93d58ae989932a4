// What somebody should look at: dead letters, functions that keep failing, lag, and twin changes that nobody takes.

@description('Unique part of resource names.')
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

@description('Who is told; empty: nobody.')
param email string

var groupIds = empty(email) ? [] : [ group.id ]

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

resource deadLetters 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = {
  name: 'alert-dead-letters-${token}'
  location: location
  tags: tags
  kind: 'LogAlert'
  properties: {
    displayName: 'Edge deployment status: dead letters'
    description: 'Events could not be processed and stand in the table DeadLetter, each with its reason.'
    severity: 2
    enabled: true
    scopes: [ workspaceId ]
    evaluationFrequency: 'PT15M'
    windowSize: 'PT15M'
    criteria: {
      allOf: [
        {
          query: 'AppTraces | where Message contains "dead-lettered"'
          timeAggregation: 'Count'
          operator: 'GreaterThan'
          threshold: 0
        }
      ]
    }
    autoMitigate: false
    actions: { actionGroups: groupIds }
  }
}

resource failures 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = {
  name: 'alert-failures-${token}'
  location: location
  tags: tags
  kind: 'LogAlert'
  properties: {
    displayName: 'Edge deployment status: a function keeps failing'
    description: 'A function failed more than twice within three hours. One failure is tried again and heals; the hourly one has failed in each of its runs.'
    severity: 2
    enabled: true
    scopes: [ workspaceId ]
    evaluationFrequency: 'PT15M'
    windowSize: 'PT3H'
    criteria: {
      allOf: [
        {
          query: 'AppRequests | where Success == false'
          timeAggregation: 'Count'
          dimensions: [
            {
              name: 'OperationName'
              operator: 'Include'
              values: [ '*' ]
            }
          ]
          operator: 'GreaterThan'
          threshold: 2
        }
      ]
    }
    autoMitigate: true
    actions: { actionGroups: groupIds }
  }
}

// Told by the app for each batch that it begins; without a running app there is none, which the next alert is for.
resource lag 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = {
  name: 'alert-lag-${token}'
  location: location
  tags: tags
  kind: 'LogAlert'
  properties: {
    displayName: 'Edge deployment status: the app lags'
    description: 'Within 15 minutes the app came to an event that was older than 15 minutes.'
    severity: 2
    enabled: true
    scopes: [ workspaceId ]
    evaluationFrequency: 'PT15M'
    windowSize: 'PT15M'
    criteria: {
      allOf: [
        {
          query: 'AppMetrics | where Name == "edge_deployment.lag" | project TimeGenerated, Max'
          metricMeasureColumn: 'Max'
          timeAggregation: 'Maximum'
          operator: 'GreaterThan'
          threshold: 900
        }
      ]
    }
    autoMitigate: true
    actions: { actionGroups: groupIds }
  }
}

// Events that came in late in the window may be taken after it, so a few alone raise nothing.
resource silence 'Microsoft.Insights/metricAlerts@2018-03-01' = {
  name: 'alert-silence-${token}'
  location: 'global'
  tags: tags
  properties: {
    description: 'Twin changes have come in for half an hour and none was taken out: the app does not run, or may not read.'
    severity: 1
    enabled: true
    scopes: [ eventHubsId ]
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
              values: [ twinChangesHub ]
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
              values: [ twinChangesHub ]
            }
          ]
        }
      ]
    }
    autoMitigate: true
    actions: [for id in groupIds: { actionGroupId: id }]
  }
}
