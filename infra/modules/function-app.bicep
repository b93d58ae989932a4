// The function app on Flex Consumption, and every setting that it has.

@description('Unique part of resource names.')
@minLength(13)
@maxLength(13)
param token string

@description('Region.')
param location string

@description('Tags of every resource.')
param tags object

@description('Resource id of the identity that the app runs as.')
param identityId string

@description('Client id of that identity.')
param identityClientId string

@description('Name of the Application Insights component.')
param insightsName string

@description('Name of the storage account.')
param storageName string

@description('Container that the package of the app is put in.')
param packageContainer string

@description('Host name of the Event Hubs namespace.')
param eventHubsHost string

@description('Name of the event hub of twin changes.')
param twinChangesHub string

@description('Consumer group of the app.')
param consumerGroup string

@description('Name of the event hub of transitions.')
param transitionsHub string

@description('Host name of the IoT hub.')
param iotHubHost string

@description('Whether instances are spread over zones.')
param zoneRedundant bool

@description('Most instances of each function.')
param maximumInstanceCount int

@description('Memory of an instance.')
param instanceMemoryMB int

@description('GRACE_DEFAULT.')
param graceDefault string

@description('GRACE_PERIODS.')
param gracePeriods string

@description('GRACE_HOPELESS.')
param graceHopeless string

@description('COHORT_TAGS.')
param cohortTags string

@description('STABLE_AFTER.')
param stableAfter string

@description('INTENSIVE_CARE.')
param intensiveCare string

@description('FAILURE_THRESHOLD; empty: not set.')
param failureThreshold string

@description('FLAG_STUCK_SCHEDULE.')
param flagStuckSchedule string

@description('RESYNC_SCHEDULE.')
param resyncSchedule string

@description('HISTORY_LIMIT.')
param historyLimit int

@description('TWIN_READS_PER_SECOND.')
param twinReadsPerSecond int

@description('TWIN_QUERIES_PER_MINUTE.')
param twinQueriesPerMinute int

@description('FLEET_NAME.')
param fleetName string

@description('NOTIFY.')
param notify string

@description('The settings that NOTIFY names.')
@secure()
param notifySecrets object

@description('TELEMETRY.')
param telemetry string

resource insights 'Microsoft.Insights/components@2020-02-02' existing = {
  name: insightsName
}

resource storage 'Microsoft.Storage/storageAccounts@2025-06-01' existing = {
  name: storageName
}

resource plan 'Microsoft.Web/serverfarms@2025-03-01' = {
  name: 'plan-${token}'
  location: location
  tags: tags
  kind: 'functionapp'
  sku: {
    name: 'FC1'
    tier: 'FlexConsumption'
  }
  properties: {
    reserved: true
    zoneRedundant: zoneRedundant
  }
}

resource app 'Microsoft.Web/sites@2025-03-01' = {
  name: 'func-${token}'
  location: location
  tags: union(tags, { 'azd-service-name': 'status' })
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: { '${identityId}': {} }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    keyVaultReferenceIdentity: identityId
    siteConfig: {
      minTlsVersion: '1.2'
    }
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: '${storage.properties.primaryEndpoints.blob}${packageContainer}'
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: identityId
          }
        }
      }
      runtime: {
        name: 'python'
        version: '3.13'
      }
      // Functions that answer HTTP share instances; the event hub function and each timer have their own.
      scaleAndConcurrency: {
        maximumInstanceCount: maximumInstanceCount
        instanceMemoryMB: instanceMemoryMB
        // None: a start takes seconds, a grace period minutes, and an instance that waits costs money all the time.
        alwaysReady: []
      }
    }
  }

  // No password opens the deployment endpoints; azd deploys as who is signed in.
  resource noPasswordScm 'basicPublishingCredentialsPolicies' = {
    name: 'scm'
    properties: {
      allow: false
    }
  }

  resource noPasswordFtp 'basicPublishingCredentialsPolicies' = {
    name: 'ftp'
    properties: {
      allow: false
    }
  }
}

resource settings 'Microsoft.Web/sites/config@2025-03-01' = {
  parent: app
  name: 'appsettings'
  properties: union(notifySecrets, {
    AzureWebJobsStorage__blobServiceUri: storage.properties.primaryEndpoints.blob
    AzureWebJobsStorage__tableServiceUri: storage.properties.primaryEndpoints.table
    AzureWebJobsStorage__credential: 'managedidentity'
    AzureWebJobsStorage__clientId: identityClientId
    // It names the component and is no secret: the component takes no telemetry by key.
    APPLICATIONINSIGHTS_CONNECTION_STRING: insights.properties.ConnectionString
    APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identityClientId};Authorization=AAD'
    // Which identity the Azure SDK takes in the app's own code.
    AZURE_CLIENT_ID: identityClientId
    TwinChanges__fullyQualifiedNamespace: eventHubsHost
    TwinChanges__credential: 'managedidentity'
    TwinChanges__clientId: identityClientId
    TWIN_CHANGES_HUB: twinChangesHub
    CONSUMER_GROUP: consumerGroup
    Transitions__fullyQualifiedNamespace: eventHubsHost
    Transitions__credential: 'managedidentity'
    Transitions__clientId: identityClientId
    TRANSITIONS_HUB: transitionsHub
    STATUS_TABLES: storage.properties.primaryEndpoints.table
    IOT_HUB: iotHubHost
    GRACE_DEFAULT: graceDefault
    GRACE_PERIODS: gracePeriods
    GRACE_HOPELESS: graceHopeless
    COHORT_TAGS: cohortTags
    STABLE_AFTER: stableAfter
    INTENSIVE_CARE: intensiveCare
    FAILURE_THRESHOLD: failureThreshold
    FLAG_STUCK_SCHEDULE: flagStuckSchedule
    RESYNC_SCHEDULE: resyncSchedule
    HISTORY_LIMIT: string(historyLimit)
    TWIN_READS_PER_SECOND: string(twinReadsPerSecond)
    TWIN_QUERIES_PER_MINUTE: string(twinQueriesPerMinute)
    FLEET_NAME: fleetName
    NOTIFY: notify
    TELEMETRY: telemetry
  })
}

output appName string = app.name
output url string = 'https://${app.properties.defaultHostName}'
