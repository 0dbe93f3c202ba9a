// What stands on the device otherwise than published: put it back, or take it over.
import { useState } from "react";
import { useTranslation } from "../../i18n/use";
import type { Schemas } from "../../api/client";
import { send, useGet, useSend } from "../../api/use";
import { useSession } from "../../frame/session";
import {
  Alert, Button, type Column, ConfirmDialog, DataTable, Empty, Facts, Flex, FlexItem, Foreign, Form, FormGroup, FormSelect, FormSelectOption, Loaded, Stack, StackItem, Status, Time, type Tone, useToast, useUrlState,
} from "../../ui";
import type { TabProps } from "./detail";
import { LastJob } from "./give";
import { inService, Revision } from "./words";

type Drift = Schemas["Drift"];
type Item = Drift["items"][number] & { set_by: { layer?: string; name?: string; pub?: number; author?: string; reason?: string; at?: string } | null };
const actionTone: Record<string, Tone> = { reported: "warn", adopting: "busy", repaired: "good", failed: "bad", "gave-up": "bad", held: "warn" };

function AdoptDialog({ id, items, etag, onClose }: { id: string; items: string[]; etag: string; onClose: () => void }) {
  const { t } = useTranslation("devices"), toast = useToast(), [to, setTo] = useState<"device" | "group" | "fleet">("device"), [group, setGroup] = useState(""), groups = useGet("/api/v1/groups", { query: { limit: 500 } });
  const adopt = useSend(() => send("post", "/api/v1/devices/{id}/drift/adopt", { path: { id }, ifMatch: etag, body: { items, to, ...(to === "group" ? { group } : {}) } }));
  const go = async () => { const a = await adopt.mutateAsync(); toast.show({ title: t("adopted", { count: a.data.adopted.length }) }); };
  return (
    <ConfirmDialog title={t("adopt_title", { count: items.length })} verb={t("do_adopt")} disabled={to === "group" && group === ""} onConfirm={go} onClose={onClose}>
      <p>{t("adopt_help")}</p>
      <Form>
        <FormGroup label={t("adopt_to")} fieldId="adopt-to">
          <FormSelect id="adopt-to" value={to} onChange={(_, v) => setTo(v as typeof to)}>{(["device", "group", "fleet"] as const).map((x) => <FormSelectOption key={x} value={x} label={t(`adopt_${x}`)} />)}</FormSelect>
        </FormGroup>
        {to !== "group" ? null : (
          <FormGroup label={t("group")} fieldId="adopt-group">
            <FormSelect id="adopt-group" value={group} onChange={(_, v) => setGroup(v)}>
              <FormSelectOption value="" label="–" />
              {(groups.data?.data.items ?? []).map((g) => <FormSelectOption key={g.id} value={g.id} label={g.name} />)}
            </FormSelect>
          </FormGroup>
        )}
      </Form>
    </ConfirmDialog>
  );
}

function PolicyDialog({ device, etag, onClose }: TabProps & { onClose: () => void }) {
  const { t } = useTranslation("devices"), now = device.drift ?? "inherit", [value, setValue] = useState<typeof now>(now);
  const change = useSend(() => send("patch", "/api/v1/devices/{id}", { path: { id: device.id }, ifMatch: etag, body: { drift: value } }));
  return (
    <ConfirmDialog title={t("drift_policy")} verb={t("do_policy")} disabled={value === now} onConfirm={() => change.mutateAsync()} onClose={onClose}>
      <p>{t("policy_help")}</p>
      <Form>
        <FormGroup label={t("drift_policy")} fieldId="drift-policy">
          <FormSelect id="drift-policy" value={value} onChange={(_, v) => setValue(v as typeof now)}>{(["inherit", "report", "enforce", "adopt"] as const).map((x) => <FormSelectOption key={x} value={x} label={t(`drift_${x}`)} />)}</FormSelect>
        </FormGroup>
      </Form>
    </ConfirmDialog>
  );
}

/** A short value stays on one line. */
const whole = (v: string) => (v.length <= 20 ? "inari-whole" : "");

export function DriftTab({ device, etag }: TabProps) {
  const { t } = useTranslation("devices"), { may } = useSession(), url = useUrlState(), [selected, setSelected] = useState<Set<string>>(new Set()), [asked, setAsked] = useState<"enforce" | "adopt" | "policy" | null>(null);
  const drift = useGet("/api/v1/devices/{id}/drift", { path: { id: device.id } }, { every: 5000 });
  const enforce = useSend((v: { items: string[]; reason: string; ifMatch: string }) => send("post", "/api/v1/devices/{id}/drift/enforce", { path: { id: device.id }, ifMatch: v.ifMatch, body: { items: v.items, ...(v.reason === "" ? {} : { reason: v.reason }) } }));
  if (drift.error?.status === 404 && drift.data === undefined) return <Empty title={t("no_status_yet")} />;
  const none = <small>–</small>;
  const columns: Column<Item>[] = [
    { key: "item", label: t("item"), wide: true, cell: (x) => <>{x.label ? <div>{x.label}</div> : null}<code><Foreign text={x.name} /></code></> },
    { key: "expected", label: t("expected"), wide: true, cell: (x) => (x.expected === null ? none : <code className={whole(x.expected)}><Foreign text={x.expected} /></code>) },
    { key: "found", label: t("found"), wide: true, cell: (x) => (x.found === null ? t("missing") : <code className={whole(x.found)}><Foreign text={x.found} /></code>) },
    { key: "action", label: t("what_is_done"), wide: true, cell: (x) => <><Status tone={actionTone[x.action ?? ""] ?? "neutral"} text={t(`action_${x.action ?? "reported"}`)} />{x.problem ? <div className="inari-small"><Foreign text={x.problem} /></div> : null}<div className="inari-small">{t("since")} <Time at={x.since} /></div></> },
    { key: "who", label: t("who_published"), wide: true, cell: (x) => (x.set_by ? <>{t(`layer_${x.set_by.layer ?? "builtin"}`)} <Foreign text={x.set_by.name} /> {x.set_by.pub ? <Revision pub={x.set_by.pub} /> : null}<div className="inari-small"><Foreign text={x.set_by.author} /> <Foreign text={x.set_by.reason} /></div></> : none) },
    { key: "file", label: t("file_written"), wide: true, cell: (x) => (x.file_changed_at ? <><Time at={x.file_changed_at} /><div className="inari-small"><Foreign text={x.file_owner} /></div></> : none) },
  ];
  return (
    <Loaded of={drift}>
      {({ data, etag: version }) => {
        const items = data.items as Item[], chosen = items.map((x) => x.name).filter((n) => selected.has(n));
        return (
          <Stack hasGutter>
            <StackItem>
              <Facts items={[
                { label: t("drift_policy"), value: <>{t(`drift_${data.policy}`)} {data.policy_set === "inherit" ? <small>({t("drift_inherit")})</small> : null} {may("device:write") ? <Button variant="link" isInline onClick={() => setAsked("policy")}>{t("do_policy")}</Button> : null}</> },
                { label: t("as_reported"), value: <Time at={data.received_at} relative /> },
              ]} />
            </StackItem>
            {url.get("job") === "" ? null : <StackItem><LastJob id={url.get("job")} /></StackItem>}
            {items.length === 0 ? <StackItem><Empty title={t("no_drift")}>{t("no_drift_help")}</Empty></StackItem> : (
              <>
                <StackItem>
                  <Flex spaceItems={{ default: "spaceItemsSm" }} alignItems={{ default: "alignItemsCenter" }}>
                    <FlexItem>{t("selected", { count: chosen.length })}</FlexItem>
                    <FlexItem><Button variant="secondary" isDisabled={!may("command") || !inService(device) || chosen.length === 0} onClick={() => setAsked("enforce")}>{t("do_enforce")}</Button></FlexItem>
                    <FlexItem><Button variant="secondary" isDisabled={!may("settings:write") || chosen.length === 0} onClick={() => setAsked("adopt")}>{t("do_adopt")}</Button></FlexItem>
                  </Flex>
                </StackItem>
                <StackItem><DataTable caption={t("tab_drift")} columns={columns} rows={items} rowKey={(x) => x.name} selected={selected} onSelect={setSelected} /></StackItem>
              </>
            )}
            {items.some((x) => x.action === "gave-up") ? <StackItem><Alert isInline variant="warning" component="p" title={t("reason_GaveUp")}><p>{t("gave_up_help")}</p></Alert></StackItem> : null}
            {asked === "policy" ? <PolicyDialog device={device} etag={etag} onClose={() => setAsked(null)} /> : null}
            {asked === "adopt" ? <AdoptDialog id={device.id} items={chosen} etag={version} onClose={() => setAsked(null)} /> : null}
            {asked === "enforce" ? (
              <ConfirmDialog title={t("enforce_title", { count: chosen.length })} verb={t("do_enforce")} reason="optional" onClose={() => setAsked(null)}
                onConfirm={async (reason) => { const a = await enforce.mutateAsync({ items: chosen, reason, ifMatch: version }); setSelected(new Set()); url.set({ job: a.data.id }); }}>
                <p>{t("enforce_help")}</p><ul>{chosen.slice(0, 20).map((n) => <li key={n}><code><Foreign text={n} /></code></li>)}</ul>
              </ConfirmDialog>
            ) : null}
          </Stack>
        );
      }}
    </Loaded>
  );
}
