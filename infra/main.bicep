targetScope = 'subscription'

@description('Name of the azd environment. It names the resource group, and the names of all resources follow from it.')
@minLength(1)
@maxLength(64)
param environmentName string

@description('Region of everything that is made here: one that has Flex Consumption.')
@minLength(1)
param location string

@description('Name of the IoT hub that the fleet is in. It keeps its settings and its other routes. Empty: a new hub is made.')
param iotHubName string = ''

@description('Resource group of that IoT hub, in the same subscription. Empty: the resource group of the app.')
param iotHubResourceGroup string = ''

@description('Region of a new IoT hub. Not every region that has Flex Consumption has IoT Hub too.')
param iotHubLocation string = location

@description('Size of a new IoT hub. The basic tier is left out: it has no twins. F1 is free, one for each subscription, and has 8,000 messages of 0.5 KB a day.')
@allowed([
  'F1'
  'S1'
  'S2'
  'S3'
])
param newIotHubSku string = 'S1'

@description('Mail address that gets every alert. Empty: none.')
param alertEmail string = ''

@description('Resource id of an action group that gets every alert, of any kind: a pager, a webhook, a chat. Empty: none.')
param alertActionGroupId string = ''

@description('How many stuck devices, or stuck modules, raise an alert.')
@minValue(1)
param alertStuckThreshold int = 10

@description('Principal that may read the status tables and both event hubs: who deploys, by azd. Empty: nobody but the app.')
param readerPrincipalId string = ''

@description('Tags of every resource, beside that of azd.')
param resourceTags object = {}

@description('Whether the app and its storage account are spread over the zones of the region, which must have some. It cannot be changed later.')
param zoneRedundant bool = false

@description('Partitions of the event hub of twin changes. Each can have an instance of its own. They share twinReadsPerSecond and twinQueriesPerMinute, so more than a few help nobody. It cannot be changed later.')
@minValue(1)
@maxValue(32)
param twinChangesPartitions int = 2

@description('Partitions of the event hub of transitions: how many readers of one subscriber can share the work. It cannot be changed later.')
@minValue(1)
@maxValue(32)
param transitionsPartitions int = 4

@description('Throughput units of the Event Hubs namespace. One takes in 1,000 events or 1 MB a second, which is more than the app can read twins for.')
@minValue(1)
@maxValue(40)
param throughputUnits int = 1

@description('Most instances of each function. Partitions hold it lower: a function gets at most one instance for each. 40 is the lowest value that Flex Consumption has taken in every version.')
@minValue(1)
@maxValue(1000)
param maximumInstanceCount int = 40

@description('Memory of an instance. 2,048 MB is the smallest size with a whole core, which a start needs to be quick; an idle app has no instance, so the size costs nothing then.')
@allowed([
  512
  2048
  4096
])
param instanceMemoryMB int = 2048

@description('Days that logs are kept. The first 31 cost nothing.')
@minValue(30)
@maxValue(730)
param logRetentionDays int = 30

@description('GB that Log Analytics takes in a day, as a number such as 0.5; -1: no limit. What comes after that is lost, and alert-heartbeat is raised.')
param logDailyCapGb string = '-1'

@description('Grace period of what has none of its own: ISO 8601 duration.')
param graceDefault string = 'PT15M'

@description('Grace periods: module name, image prefix or reason:<reason> to ISO 8601 duration.')
param gracePeriods object = {}

@description('Grace period of what only a person can change: ISO 8601 duration.')
param graceHopeless string = 'PT2M'

@description('Names of device tags by which devices are in cohorts, at most three, such as ring,region.')
param cohortTags string = ''

@description('How long something must be as desired until its clock ends, after a new version: ISO 8601 duration.')
param stableAfter string = 'PT60S'

@description('The same, where it left by itself: ISO 8601 duration.')
param intensiveCare string = 'PT10M'

@description('How many devices of a deployment may fail: a number such as 5, or a percentage such as 5%; empty: nobody says.')
param failureThreshold string = ''

@description('When deadlines are looked at: six fields, second to day of the week, in UTC.')
param flagStuckSchedule string = '0 * * * * *'

@description('When every device is compared with its twin: the same six fields. Each run reads every twin, which an F1 hub can pay for once a day.')
param resyncSchedule string = newIotHubSku == 'F1' ? '0 0 3 * * *' : '0 0 * * * *'

@description('Transitions that are kept of each device.')
@minValue(1)
@maxValue(100000)
param historyLimit int = 500

@description('Most twins that the app reads in a second; 0: no limit. S1 and S2 allow 100 to all who ask.')
@minValue(0)
param twinReadsPerSecond int = 80

@description('Most queries for twins that the app makes in a minute; 0: no limit. A unit of S1 or S2 allows 20 to all who ask.')
@minValue(0)
param twinQueriesPerMinute int = 16

@description('What people call the fleet: shown in messages and metrics. Empty: the name of the IoT hub.')
@maxLength(100)
param fleetName string = ''

@description('Where news go: a list of targets, as docs/notify.md describes them. Their secrets stand in notifySecrets.')
param notify array = []

@description('The settings that notify names: addresses and keys, or Key Vault references to them.')
@secure()
param notifySecrets object = {}

@description('Name of the key vault that these references name. Empty: there is none.')
param notifyKeyVaultName string = ''

@description('Resource group of that key vault, in the same subscription. Empty: the resource group of the app.')
param notifyKeyVaultResourceGroup string = ''

@description('Whether an Event Grid topic is made that gets every event, as a target by the name event-grid.')
param eventGridTopic bool = false

@description('Where metrics of the app go. All alerts but alert-failures and alert-silence need them.')
@allowed([
  'azure-monitor'
  'off'
])
param telemetry string = 'azure-monitor'

var tags = union(resourceTags, { 'azd-env-name': environmentName })
var token = toLower(uniqueString(subscription().id, environmentName, location))
var groupName = 'rg-${environmentName}'
var makesIotHub = empty(iotHubName)
var hubName = makesIotHub ? 'iot-${token}' : iotHubName
var hubGroupName = makesIotHub || empty(iotHubResourceGroup) ? groupName : iotHubResourceGroup

resource group 'Microsoft.Resources/resourceGroups@2025-04-01' = {
  name: groupName
  location: location
  tags: tags
}

module identities 'modules/identities.bicep' = {
  name: 'identities'
  scope: group
  params: {
    token: token
    location: location
    tags: tags
  }
}

module monitoring 'modules/monitoring.bicep' = {
  name: 'monitoring'
  scope: group
  params: {
    token: token
    location: location
    tags: tags
    appPrincipalId: identities.outputs.appPrincipalId
    retentionDays: logRetentionDays
    dailyCapGb: logDailyCapGb
  }
}

module storage 'modules/storage.bicep' = {
  name: 'storage'
  scope: group
  params: {
    token: token
    location: location
    tags: tags
    appPrincipalId: identities.outputs.appPrincipalId
    readerPrincipalId: readerPrincipalId
    zoneRedundant: zoneRedundant
  }
}

module eventHubs 'modules/event-hubs.bicep' = {
  name: 'event-hubs'
  scope: group
  params: {
    token: token
    location: location
    tags: tags
    appPrincipalId: identities.outputs.appPrincipalId
    routePrincipalId: identities.outputs.routePrincipalId
    readerPrincipalId: readerPrincipalId
    twinChangesPartitions: twinChangesPartitions
    transitionsPartitions: transitionsPartitions
    throughputUnits: throughputUnits
  }
}

module iotHub 'modules/iot-hub.bicep' = if (makesIotHub) {
  name: 'iot-hub'
  scope: group
  params: {
    hubName: hubName
    location: iotHubLocation
    tags: tags
    sku: newIotHubSku
    routeIdentityId: identities.outputs.routeIdentityId
    endpointUri: eventHubs.outputs.endpointUri
    twinChangesHub: eventHubs.outputs.twinChangesHub
  }
}

module iotHubReader 'modules/iot-hub-reader.bicep' = {
  name: 'iot-hub-reader-${token}'
  scope: resourceGroup(hubGroupName)
  params: {
    hubName: hubName
    appPrincipalId: identities.outputs.appPrincipalId
  }
  dependsOn: [
    iotHub
  ]
}

module eventGrid 'modules/event-grid.bicep' = if (eventGridTopic) {
  name: 'event-grid'
  scope: group
  params: {
    token: token
    location: location
    tags: tags
    appPrincipalId: identities.outputs.appPrincipalId
  }
}

module keyVaultReader 'modules/key-vault-reader.bicep' = if (!empty(notifyKeyVaultName)) {
  name: 'key-vault-reader-${token}'
  scope: resourceGroup(empty(notifyKeyVaultResourceGroup) ? groupName : notifyKeyVaultResourceGroup)
  params: {
    vaultName: notifyKeyVaultName
    appPrincipalId: identities.outputs.appPrincipalId
  }
}

module functionApp 'modules/function-app.bicep' = {
  name: 'function-app'
  scope: group
  params: {
    token: token
    location: location
    tags: tags
    identityId: identities.outputs.appIdentityId
    identityClientId: identities.outputs.appClientId
    insightsName: monitoring.outputs.insightsName
    storageName: storage.outputs.storageName
    packageContainer: storage.outputs.packageContainer
    eventHubsHost: eventHubs.outputs.hostName
    twinChangesHub: eventHubs.outputs.twinChangesHub
    consumerGroup: eventHubs.outputs.consumerGroup
    transitionsHub: eventHubs.outputs.transitionsHub
    iotHubHost: iotHubReader.outputs.hostName
    zoneRedundant: zoneRedundant
    maximumInstanceCount: maximumInstanceCount
    instanceMemoryMB: instanceMemoryMB
    graceDefault: graceDefault
    gracePeriods: string(gracePeriods)
    graceHopeless: graceHopeless
    cohortTags: cohortTags
    stableAfter: stableAfter
    intensiveCare: intensiveCare
    failureThreshold: failureThreshold
    flagStuckSchedule: flagStuckSchedule
    resyncSchedule: resyncSchedule
    historyLimit: historyLimit
    twinReadsPerSecond: twinReadsPerSecond
    twinQueriesPerMinute: twinQueriesPerMinute
    fleetName: fleetName
    notify: string(concat(notify, eventGridTopic ? [eventGrid!.outputs.target] : []))
    notifySecrets: notifySecrets
    telemetry: telemetry
  }
}

module workbook 'modules/workbook.bicep' = {
  name: 'workbook'
  scope: group
  params: {
    location: location
    tags: tags
    workspaceId: monitoring.outputs.workspaceId
  }
}

module alerts 'modules/alerts.bicep' = {
  name: 'alerts'
  scope: group
  params: {
    token: token
    location: location
    tags: tags
    workspaceId: monitoring.outputs.workspaceId
    eventHubsId: eventHubs.outputs.namespaceId
    twinChangesHub: eventHubs.outputs.twinChangesHub
    hasMetrics: telemetry == 'azure-monitor'
    stuckThreshold: alertStuckThreshold
    email: alertEmail
    actionGroupId: alertActionGroupId
  }
}

// azd keeps outputs beside its inputs, by name: an output must not have the name of an input. The commands of the app
// take most of these as their settings.
output AZURE_RESOURCE_GROUP string = groupName
output FUNCTION_APP string = functionApp.outputs.appName
output DEPLOYMENT_STATUS_URL string = functionApp.outputs.url
output STATUS_TABLES string = storage.outputs.tableEndpoint
output EVENT_HUBS_HOST string = eventHubs.outputs.hostName
output TWIN_CHANGES_HUB string = eventHubs.outputs.twinChangesHub
output CONSUMER_GROUP string = eventHubs.outputs.consumerGroup
output TRANSITIONS_HUB string = eventHubs.outputs.transitionsHub
output IOT_HUB string = iotHubReader.outputs.hostName

// What scripts/hooks/route_iot_hub.py needs.
output IOT_HUB_IS_NEW bool = makesIotHub
output ROUTE_IOT_HUB string = hubName
output ROUTE_IOT_HUB_GROUP string = hubGroupName
output ROUTE_IDENTITY string = identities.outputs.routeIdentityId
output ROUTE_ENDPOINT_URI string = eventHubs.outputs.endpointUri
