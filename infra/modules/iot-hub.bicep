// A new IoT hub with its route. It belongs to this file: routes added by hand go with the next provisioning.

@description('Name of the hub.')
param hubName string

@description('Region.')
param location string

@description('Tags of every resource.')
param tags object

@description('Size.')
param sku string

@description('Resource id of the identity that the hub sends as.')
param routeIdentityId string

@description('Address of the Event Hubs namespace: sb://host.')
param endpointUri string

@description('Name of the event hub of twin changes.')
param twinChangesHub string

var endpoint = 'edge-deployment-status'

resource hub 'Microsoft.Devices/IotHubs@2023-06-30' = {
  name: hubName
  location: location
  tags: tags
  sku: {
    name: sku
    capacity: 1
  }
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: { '${routeIdentityId}': {} }
  }
  properties: {
    routing: {
      endpoints: {
        eventHubs: [
          {
            name: endpoint
            authenticationType: 'identityBased'
            identity: { userAssignedIdentity: routeIdentityId }
            endpointUri: endpointUri
            entityPath: twinChangesHub
            subscriptionId: subscription().subscriptionId
            resourceGroup: resourceGroup().name
          }
        ]
      }
      routes: [
        {
          name: 'edge-deployment-status-twins'
          source: 'TwinChangeEvents'
          condition: 'moduleId = \'$edgeAgent\''
          endpointNames: [endpoint]
          isEnabled: true
        }
        {
          name: 'edge-deployment-status-lifecycle'
          source: 'DeviceLifecycleEvents'
          condition: 'true'
          endpointNames: [endpoint]
          isEnabled: true
        }
      ]
      // Without it, telemetry that no route takes would be dropped as soon as there is a route.
      fallbackRoute: {
        name: '$fallback'
        source: 'DeviceMessages'
        condition: 'true'
        endpointNames: ['events']
        isEnabled: true
      }
    }
  }
}
