// Letting a device join: tokens that open the door once or a few times, and who waits behind it.
import { useState } from "react";
import { Link } from "react-router";
import { useTranslation } from "../../i18n/use";
import type { Schemas } from "../../api/client";
import { send, useGet, useSend } from "../../api/use";
import { useSession } from "../../frame/session";
import { deviceLink } from "../../frame/links";
import {
  Alert, ApiCalls, Button, Checkbox, CodeBlock, CodeBlockCode, type Column, ConfirmDialog, DataTable, durationText, Empty, ErrorBox, Foreign, Form, FormGroup, FormHelperText, FormSelect, FormSelectOption, HelperText, HelperTextItem,
  Loaded, numberText, Modal, ModalBody, ModalFooter, ModalHeader, Page, pageOf, Pager, Stack, StackItem, Status, TextInput, Time, Title, useToast, useUrlState,
} from "../../ui";
import { DeviceOrders } from "./orders";
import type { Device } from "./words";

type Token = Schemas["EnrolmentToken"];
/** The string goes in on standard input: a command line can be read by everybody on that machine. */
const JOIN = "inari-agent join --join-file -";
type Made = Token & { token?: string; join?: string };

/** The one time the join string is seen: it is in this dialog and nowhere else. */
function MadeDialog({ made, onClose }: { made: Made; onClose: () => void }) {
  const { t } = useTranslation("devices"), { t: common } = useTranslation(), toast = useToast();
  const copy = async (text: string) => { await navigator.clipboard.writeText(text); toast.show({ title: common("copied") }); };
  return (
    <Modal isOpen variant="medium" onClose={onClose} aria-labelledby="made-title">
      <ModalHeader title={t("token_made", { name: made.name })} labelId="made-title" />
      <ModalBody>
        <p>{t("token_run")}</p>
        <CodeBlock><CodeBlockCode>{JOIN}</CodeBlockCode></CodeBlock>
        <p>{t("token_once")}</p>
        <CodeBlock><CodeBlockCode className="inari-join">{made.join}</CodeBlockCode></CodeBlock>
        <p>{t("token_then")}</p>
      </ModalBody>
      <ModalFooter>
        <Button onClick={() => void copy(made.join ?? "")}>{t("copy_join")}</Button>
        <Button variant="secondary" onClick={() => void copy(JOIN)}>{t("copy_command")}</Button>
        <Button variant="link" onClick={onClose}>{common("close")}</Button>
      </ModalFooter>
    </Modal>
  );
}

function TokenForm({ onMade, onClose }: { onMade: (m: Made) => void; onClose: () => void }) {
  const { t } = useTranslation("devices"), { t: common } = useTranslation(), groups = useGet("/api/v1/groups", { query: { limit: 500 } });
  const [name, setName] = useState(""), [uses, setUses] = useState("1"), [lasts, setLasts] = useState("86400"), [group, setGroup] = useState(""), [placement, setPlacement] = useState("edge"), [networks, setNetworks] = useState(""), [approval, setApproval] = useState(true);
  const make = useSend(() => send("post", "/api/v1/enrolment-tokens", { body: { name, uses: Number(uses), expires_in_s: Number(lasts), approval, placement: placement as "edge" | "inner",
    ...(group === "" ? {} : { group }), ...(networks.trim() === "" ? {} : { networks: networks.trim().split(/[\s,]+/) }) } }));
  const go = () => make.mutateAsync().then((a) => onMade(a.data as Made), () => undefined);
  return (
    <Modal isOpen variant="medium" onClose={onClose} aria-labelledby="token-title">
      <ModalHeader title={t("token_new")} labelId="token-title" />
      <ModalBody>
        <Form id="token-form" onSubmit={(e) => { e.preventDefault(); void go(); }}>
          <FormGroup label={t("token_name")} fieldId="token-name" isRequired>
            <TextInput id="token-name" isRequired maxLength={100} value={name} onChange={(_, v) => setName(v)} />
            <FormHelperText><HelperText><HelperTextItem>{t("token_name_help")}</HelperTextItem></HelperText></FormHelperText>
          </FormGroup>
          <FormGroup label={t("token_uses")} fieldId="token-uses"><TextInput id="token-uses" type="number" min={1} max={10000} value={uses} onChange={(_, v) => setUses(v)} /></FormGroup>
          <FormGroup label={t("token_lasts")} fieldId="token-lasts">
            <FormSelect id="token-lasts" value={lasts} onChange={(_, v) => setLasts(v)}>{[3600, 86400, 604800, 2592000].map((s) => <FormSelectOption key={s} value={String(s)} label={durationText(s)} />)}</FormSelect>
          </FormGroup>
          <FormGroup label={t("placement")} fieldId="token-placement">
            <FormSelect id="token-placement" value={placement} onChange={(_, v) => setPlacement(v)}>{(["edge", "inner"] as const).map((p) => <FormSelectOption key={p} value={p} label={t(`placement_${p}`)} />)}</FormSelect>
          </FormGroup>
          <FormGroup label={t("group")} fieldId="token-group">
            <FormSelect id="token-group" value={group} onChange={(_, v) => setGroup(v)}>
              <FormSelectOption value="" label={common("none")} />
              {(groups.data?.data.items ?? []).map((g) => <FormSelectOption key={g.id} value={g.name} label={g.name} />)}
            </FormSelect>
          </FormGroup>
          <FormGroup label={t("token_networks")} fieldId="token-networks">
            <TextInput id="token-networks" value={networks} onChange={(_, v) => setNetworks(v)} />
            <FormHelperText><HelperText><HelperTextItem>{t("token_networks_help")}</HelperTextItem></HelperText></FormHelperText>
          </FormGroup>
          <Checkbox id="token-approval" label={t("token_approval")} isChecked={approval} onChange={(_, v) => setApproval(v)} />
          <ErrorBox error={make.error} />
        </Form>
      </ModalBody>
      <ModalFooter><Button type="submit" form="token-form" isDisabled={name === "" || make.isPending} isLoading={make.isPending}>{t("token_make")}</Button><Button variant="link" onClick={onClose}>{common("cancel")}</Button></ModalFooter>
    </Modal>
  );
}

function Waiting() {
  const { t } = useTranslation("devices"), pending = useGet("/api/v1/devices", { query: { state: "pending", limit: 100 } }, { every: 5000 }), back = useGet("/api/v1/devices", { query: { state: "reattach", limit: 100 } }, { every: 5000 });
  const columns: Column<Device>[] = [
    { key: "name", label: t("name"), cell: (d) => <Link to={deviceLink(d.name)}><Foreign text={d.name} /></Link> },
    { key: "state", label: t("state"), cell: (d) => t(`state_${d.state}`) },
    { key: "address", label: t("address"), cell: (d) => <Foreign text={d.address} /> },
    { key: "key", label: t("key"), wide: true, cell: (d) => <code>{d.key?.kid}</code> },
    { key: "at", label: t("enrolled_at"), cell: (d) => <Time at={d.enrolled_at} relative /> },
  ];
  return (
    <Loaded of={pending}>
      {({ data }) => <DataTable caption={t("waiting")} columns={columns} rows={[...data.items, ...(back.data?.data.items ?? [])]} rowKey={(d) => d.id} empty={<Empty title={t("nobody_waits")}>{t("nobody_waits_help")}</Empty>}
        actions={(d) => <DeviceOrders device={d} etag={`"${d.version}"`} short />} />}
    </Loaded>
  );
}

function Tokens() {
  const { t } = useTranslation("devices"), url = useUrlState(), toast = useToast(), [form, setForm] = useState(false), [made, setMade] = useState<Made | null>(null), [away, setAway] = useState<Token | null>(null);
  const tokens = useGet("/api/v1/enrolment-tokens", { query: pageOf(url) });
  const drop = useSend((id: string) => send("delete", "/api/v1/enrolment-tokens/{id}", { path: { id } }));
  const columns: Column<Token>[] = [
    { key: "name", label: t("name"), cell: (x) => <Foreign text={x.name} /> },
    { key: "state", label: t("state"), cell: (x) => <Status tone={x.state === "open" ? "good" : "neutral"} text={t(`token_${x.state ?? "open"}`)} /> },
    { key: "used", label: t("token_came"), cell: (x) => t("token_used_of", { used: numberText(x.used ?? 0), uses: numberText(x.uses ?? 1) }) },
    { key: "by", label: t("token_by"), cell: (x) => <Foreign text={x.created_by} /> },
    { key: "expires", label: t("token_until"), cell: (x) => <Time at={x.expires_at} /> },
    { key: "devices", label: t("token_devices"), wide: true, cell: (x) => {
      const came = (x.devices ?? []) as { id: string; name: string }[];
      return came.length === 0 ? t("none", { ns: "common" }) : <>{came.map((d, i) => <span key={d.id}>{i > 0 ? ", " : ""}<Link to={deviceLink(d.name)}><Foreign text={d.name} /></Link></span>)}</>;
    } },
  ];
  return (
    <>
      <Button onClick={() => setForm(true)}>{t("token_new")}</Button>
      <Loaded of={tokens}>
        {({ data }) => (
          <>
            <DataTable caption={t("tokens")} columns={columns} rows={data.items} rowKey={(x) => x.id} empty={<Empty title={t("no_tokens")}>{t("no_tokens_help")}</Empty>} actions={(x) => (x.state === "open" ? <Button variant="secondary" isDanger size="sm" onClick={() => setAway(x)}>{t("token_drop")}</Button> : null)} />
            <Pager next={data.next} />
          </>
        )}
      </Loaded>
      {form ? <TokenForm onClose={() => setForm(false)} onMade={(m) => { setForm(false); setMade(m); }} /> : null}
      {made === null ? null : <MadeDialog made={made} onClose={() => setMade(null)} />}
      {away === null ? null : (
        <ConfirmDialog title={t("token_drop_title", { name: away.name })} verb={t("token_drop")} danger onClose={() => setAway(null)} onConfirm={async () => { await drop.mutateAsync(away.id); toast.show({ title: t("token_dropped", { name: away.name }) }); }}>
          <p>{t("token_drop_help")}</p>
        </ConfirmDialog>
      )}
    </>
  );
}

export function JoinDevice() {
  const { t } = useTranslation("devices"), { t: common } = useTranslation(), { may } = useSession();
  return (
    <Page title={t("join")} crumbs={[{ to: "/devices", text: t("title") }]} actions={<ApiCalls call={{ path: "/api/v1/enrolment-tokens", inarictl: "inarictl join-token list" }} />}>
      <Stack hasGutter>
        <StackItem><p>{t("join_help")}</p></StackItem>
        <StackItem><Title headingLevel="h2">{t("waiting")}</Title><Waiting /></StackItem>
        <StackItem><Title headingLevel="h2">{t("tokens")}</Title>{may("enrol") ? <Tokens /> : <Alert isInline variant="info" component="p" title={common("forbidden")}>{common("forbidden_help", { permission: "enrol" })}</Alert>}</StackItem>
      </Stack>
    </Page>
  );
}
