// Where screens send one to: the paths of other areas stand here, so that a link and its screen change together.
type Query = Record<string, string | number | null | undefined>;

export function withQuery(path: string, query: Query = {}): string {
  const q = new URLSearchParams();
  for (const [k, v] of Object.entries(query)) if (v !== null && v !== undefined && v !== "") q.set(k, String(v));
  return q.size === 0 ? path : `${path}?${q}`;
}
export const deviceLink = (name: string) => `/devices/${encodeURIComponent(name)}`;
export const queueLink = (name: string) => withQuery(deviceLink(name), { tab: "queue" });
export const commandLink = (id: string) => `/commands/${id}`;
export const commandsLink = (query: Query) => withQuery("/commands", query);
export const groupLink = (name: string) => `/groups/${encodeURIComponent(name)}`;
export const joinLink = "/devices/+join"; // no name of a device has a plus
export const revisionLink = (pub: number) => `/changes/revisions/${pub}`;
export const rolloutLink = (id: string) => `/rollouts/${id}`;
export const settingLink = (area: string, key: string) => withQuery(`/settings/${encodeURIComponent(area)}`, { key });
export const messageLink = (id: string) => `/messages/${encodeURIComponent(id)}`;
export const messagesLink = (query: Query) => withQuery("/messages", query);
export const eventsLink = (query: Query) => withQuery("/events", query);
