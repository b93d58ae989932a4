// Two identities that nothing else uses, so that a role given to one is given to nobody else.

@description('Unique part of resource names.')
@minLength(13)
@maxLength(13)
param token string

@description('Region.')
param location string

@description('Tags of every resource.')
param tags object

resource app 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: 'id-app-${token}'
  location: location
  tags: tags
}

// The IoT hub sends as this one. Made before the hub knows it, it has its role before the hub first needs it.
resource route 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: 'id-route-${token}'
  location: location
  tags: tags
}

output appIdentityId string = app.id
output appClientId string = app.properties.clientId
output appPrincipalId string = app.properties.principalId
output routeIdentityId string = route.id
output routePrincipalId string = route.properties.principalId
