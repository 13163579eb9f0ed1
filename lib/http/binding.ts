/**
 * The URLs that callers of the management API are given.
 *
 * Owns: their templates, and the payloads that carry them: what a check-status response holds, and what
 * a function gets as its client binding.
 * Must never: hold a null, as the original packages call methods of every value.
 * Proved by: `__test__/http-payloads.spec.mjs`.
 */

/** Where the management API lies below a host, unless it is told otherwise. */
export const BASE_PATH = '/runtime/webhooks/durabletask'
/** What stands for the id in the templates of a binding. */
const ID = 'INSTANCEID'

/** The URLs by which one instance is managed. `{eventName}` and `{text}` are the caller's to replace. */
export interface HttpManagementPayload {
  /** The instance's id. */
  readonly id: string
  /** GET: its status. */
  readonly statusQueryGetUri: string
  /** POST: sends it an event. */
  readonly sendEventPostUri: string
  /** POST: terminates it. */
  readonly terminatePostUri: string
  /** POST: lets it run again from where it failed. */
  readonly rewindPostUri: string
  /** DELETE: purges it. */
  readonly purgeHistoryDeleteUri: string
  /** POST: starts another one with its name and input. */
  readonly restartPostUri: string
  /** POST: suspends it. */
  readonly suspendPostUri: string
  /** POST: resumes it. */
  readonly resumePostUri: string
}

/** What a function gets as its client binding: `orchestrationClient` or `durableClient`. */
export interface ClientBinding {
  readonly taskHubName: string
  readonly creationUrls: {
    readonly createNewInstancePostUri: string
    readonly createAndWaitOnNewInstancePostUri: string
  }
  readonly managementUrls: HttpManagementPayload
  readonly baseUrl: string
  readonly requiredQueryStringParameters: string
  /** Ends with a slash: the packages resolve relative URLs against it. */
  readonly rpcBaseUrl: string
}

/** Which hub the URLs are for, and the key they carry. */
export interface UrlParts {
  /** Where the API lies: `http://host:port/runtime/webhooks/durabletask`. */
  readonly baseUrl: string
  readonly taskHubName: string
  /** The system key; null if none is asked for. */
  readonly code: string | null
}

/** The URLs of one instance. */
export function managementPayload(
  { baseUrl, taskHubName, code }: UrlParts,
  instanceId: string,
  returnInternalServerErrorOnFailure = false,
): HttpManagementPayload {
  const instance = `${baseUrl}/instances/${encodeURIComponent(instanceId)}`
  const query = `taskHub=${encodeURIComponent(taskHubName)}&connection=Storage${codeQuery('&', code)}`
  const suffix = returnInternalServerErrorOnFailure
    ? '&returnInternalServerErrorOnFailure=true'
    : ''
  return {
    id: instanceId,
    statusQueryGetUri: `${instance}?${query}${suffix}`,
    sendEventPostUri: `${instance}/raiseEvent/{eventName}?${query}`,
    terminatePostUri: `${instance}/terminate?reason={text}&${query}`,
    rewindPostUri: `${instance}/rewind?reason={text}&${query}`,
    purgeHistoryDeleteUri: `${instance}?${query}`,
    restartPostUri: `${instance}/restart?${query}`,
    suspendPostUri: `${instance}/suspend?reason={text}&${query}`,
    resumePostUri: `${instance}/resume?reason={text}&${query}`,
  }
}

/** What is in the body of a 202: the same, but for `rewindPostUri`. */
export function checkStatusBody(
  payload: HttpManagementPayload,
): Omit<HttpManagementPayload, 'rewindPostUri'> {
  return {
    id: payload.id,
    statusQueryGetUri: payload.statusQueryGetUri,
    sendEventPostUri: payload.sendEventPostUri,
    terminatePostUri: payload.terminatePostUri,
    purgeHistoryDeleteUri: payload.purgeHistoryDeleteUri,
    restartPostUri: payload.restartPostUri,
    suspendPostUri: payload.suspendPostUri,
    resumePostUri: payload.resumePostUri,
  }
}

/** The client binding of functions. */
export function clientBinding(parts: UrlParts, rpcBaseUrl: string): ClientBinding {
  const { baseUrl, taskHubName, code } = parts
  const create = `${baseUrl}/orchestrators/{functionName}[/{instanceId}]`
  const wait = 'timeout={timeoutInSeconds}&pollingInterval={intervalInSeconds}'
  return {
    taskHubName,
    creationUrls: {
      createNewInstancePostUri: `${create}${codeQuery('?', code)}`,
      createAndWaitOnNewInstancePostUri: `${create}?${wait}${codeQuery('&', code)}`,
    },
    managementUrls: managementPayload(parts, ID),
    baseUrl,
    requiredQueryStringParameters: codeQuery('', code),
    rpcBaseUrl: rpcBaseUrl.endsWith('/') ? rpcBaseUrl : `${rpcBaseUrl}/`,
  }
}

function codeQuery(before: string, code: string | null): string {
  return code === null ? '' : `${before}code=${encodeURIComponent(code)}`
}
