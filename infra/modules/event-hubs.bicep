// The two event hubs. Each sender and receiver has its role on one event hub, not on the namespace.

@description('Unique part of resource names.')
@minLength(13)
@maxLength(13)
param token string

@description('Region.')
param location string

@description('Tags of every resource.')
param tags object

@description('Principal of the app: it receives twin changes, sends transitions, and receives them for notify.')
param appPrincipalId string

@description('Principal that the IoT hub sends twin changes as.')
param routePrincipalId string

@description('Principal that may receive twin changes and transitions; empty: nobody.')
param readerPrincipalId string

@description('Partitions of twin-changes.')
param twinChangesPartitions int

@description('Partitions of transitions.')
param transitionsPartitions int

@description('Throughput units.')
param throughputUnits int

var azureEventHubsDataReceiver = 'a638d3c7-ab3a-418d-83e6-5f17a39d4fde'
var azureEventHubsDataSender = '2b629674-e913-4c01-ae53-ef4638d8f975'

resource namespace 'Microsoft.EventHub/namespaces@2026-01-01' = {
  name: 'evhns-${token}'
  location: location
  tags: tags
  // The basic tier has no consumer groups of one's own.
  sku: {
    name: 'Standard'
    tier: 'Standard'
    capacity: throughputUnits
  }
  properties: {
    disableLocalAuth: true
    minimumTlsVersion: '1.2'
  }
}

resource twinChanges 'Microsoft.EventHub/namespaces/eventhubs@2026-01-01' = {
  parent: namespace
  name: 'twin-changes'
  properties: {
    partitionCount: twinChangesPartitions
    // A day is long: what is older, the next resync has healed.
    retentionDescription: {
      cleanupPolicy: 'Delete'
      retentionTimeInHours: 24
    }
  }
}

resource appGroup 'Microsoft.EventHub/namespaces/eventhubs/consumergroups@2026-01-01' = {
  parent: twinChanges
  name: 'edge-deployment-status'
}

resource transitions 'Microsoft.EventHub/namespaces/eventhubs@2026-01-01' = {
  parent: namespace
  name: 'transitions'
  properties: {
    partitionCount: transitionsPartitions
    // The most that the standard tier keeps: a subscriber can be away for a week.
    retentionDescription: {
      cleanupPolicy: 'Delete'
      retentionTimeInHours: 168
    }
  }
}

resource subscriberGroup 'Microsoft.EventHub/namespaces/eventhubs/consumergroups@2026-01-01' = {
  parent: transitions
  name: 'subscriber'
}

// The function notify reads beside the subscribers, and makes none of them wait.
resource notifyGroup 'Microsoft.EventHub/namespaces/eventhubs/consumergroups@2026-01-01' = {
  parent: transitions
  name: 'notify'
}

resource routeSendsTwinChanges 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(twinChanges.id, routePrincipalId, azureEventHubsDataSender)
  scope: twinChanges
  properties: {
    principalId: routePrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', azureEventHubsDataSender)
  }
}

resource appReceivesTwinChanges 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(twinChanges.id, appPrincipalId, azureEventHubsDataReceiver)
  scope: twinChanges
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', azureEventHubsDataReceiver)
  }
}

resource appSendsTransitions 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(transitions.id, appPrincipalId, azureEventHubsDataSender)
  scope: transitions
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', azureEventHubsDataSender)
  }
}

resource appReceivesTransitions 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(transitions.id, appPrincipalId, azureEventHubsDataReceiver)
  scope: transitions
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', azureEventHubsDataReceiver)
  }
}

// doctor receives of both. Events of twin-changes hold twins: who deploys can give itself this role anyway.
resource readerReceivesTwinChanges 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(readerPrincipalId)) {
  name: guid(twinChanges.id, readerPrincipalId, azureEventHubsDataReceiver)
  scope: twinChanges
  properties: {
    principalId: readerPrincipalId
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', azureEventHubsDataReceiver)
  }
}

resource readerReceivesTransitions 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(readerPrincipalId)) {
  name: guid(transitions.id, readerPrincipalId, azureEventHubsDataReceiver)
  scope: transitions
  properties: {
    principalId: readerPrincipalId
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', azureEventHubsDataReceiver)
  }
}

var host = split(replace(namespace.properties.serviceBusEndpoint, 'https://', ''), ':')[0]

output namespaceId string = namespace.id
output hostName string = host
output endpointUri string = 'sb://${host}'
output twinChangesHub string = twinChanges.name
output consumerGroup string = appGroup.name
output transitionsHub string = transitions.name
