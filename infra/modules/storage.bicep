// One account: blobs of the functions host, the package of the app, and the status tables.

@description('Unique part of resource names.')
@minLength(13)
@maxLength(13)
param token string

@description('Region.')
param location string

@description('Tags of every resource.')
param tags object

@description('Principal of the app.')
param appPrincipalId string

@description('Principal that may read the tables; empty: nobody else.')
param readerPrincipalId string

@description('Whether there is a copy in each of three zones.')
param zoneRedundant bool

var storageBlobDataOwner = 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b'
var storageTableDataContributor = '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3'
var storageTableDataReader = '76199698-9eea-4c19-bc75-cec21354c6b6'

resource account 'Microsoft.Storage/storageAccounts@2025-06-01' = {
  name: 'st${token}'
  location: location
  tags: tags
  kind: 'StorageV2'
  // Three copies: what is lost with all of them, resync reads from the hub again, except the history.
  sku: { name: zoneRedundant ? 'Standard_ZRS' : 'Standard_LRS' }
  properties: {
    allowSharedKeyAccess: false
    allowBlobPublicAccess: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
  }
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2025-06-01' = {
  parent: account
  name: 'default'
}

resource package 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-06-01' = {
  parent: blobs
  name: 'app-package'
}

resource tableService 'Microsoft.Storage/storageAccounts/tableServices@2025-06-01' = {
  parent: account
  name: 'default'
}

// The app makes what is missing. They are made here so that they can be asked before it has run for the first time.
resource tables 'Microsoft.Storage/storageAccounts/tableServices/tables@2025-06-01' = [
  for table in ['DeadLetter', 'DeploymentIndex', 'DeploymentStatus', 'Deployments', 'Notices']: {
    parent: tableService
    name: table
  }
]

// The host makes containers of its own for locks and checkpoints, so its role is on the account.
resource appOwnsBlobs 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(account.id, appPrincipalId, storageBlobDataOwner)
  scope: account
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', storageBlobDataOwner)
  }
}

// No role on queues: only triggers of blobs and queues need them, and there are none.
resource appWritesTables 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(account.id, appPrincipalId, storageTableDataContributor)
  scope: account
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', storageTableDataContributor)
  }
}

// It may be a person or a service: what kind it is, Azure knows.
resource readerReadsTables 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(readerPrincipalId)) {
  name: guid(account.id, readerPrincipalId, storageTableDataReader)
  scope: account
  properties: {
    principalId: readerPrincipalId
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', storageTableDataReader)
  }
}

output storageName string = account.name
output packageContainer string = package.name
output tableEndpoint string = account.properties.primaryEndpoints.table
