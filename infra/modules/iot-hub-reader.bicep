// The role that lets the app read twins of a hub that is there already: the hub itself is not touched.

@description('Name of the hub.')
param hubName string

@description('Principal of the app.')
param appPrincipalId string

var iotHubDataReader = 'b447c946-2db7-41ec-983d-d8bf3b1c77e3'

resource hub 'Microsoft.Devices/IotHubs@2023-06-30' existing = {
  name: hubName
}

resource appReadsTwins 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(hub.id, appPrincipalId, iotHubDataReader)
  scope: hub
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', iotHubDataReader)
  }
}

output hostName string = hub.properties.hostName
