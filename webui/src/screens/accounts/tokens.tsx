// Tokens of programs: what each may do is chosen; its text is shown once and kept nowhere.
import { useState } from "react";
import { useTranslation } from "../../i18n/use";
import type { Schemas } from "../../api/client";
import { send, useGet, useSend } from "../../api/use";
import { type Permission, useSession } from "../../frame/session";
import {
  ApiCalls, Button, Checkbox, type Column, ConfirmDialog, DataTable, Empty, Flex, FlexItem, Foreign, FormDialog, FormGroup, FormSelect, FormSelectOption, Label, LabelGroup, Loaded, pageOf, Pager, ShownOnce, TextInput, Time, useToast,
  useUrlState,
} from "../../ui";

type Token = Schemas["ApiToken"];
const DAYS = ["30", "90", "365", "never"] as const;
const DAY_MS = 86_400_000;

function Create({ onMade, onClose }: { onMade: (t: Token) => void; onClose: () => void }) {
  const { t } = useTranslation("accounts"), { session } = useSession();
  const [name, setName] = useState(""), [scopes, setScopes] = useState<Permission[]>([]), [days, setDays] = useState<(typeof DAYS)[number]>("90");
  const make = useSend(async () => {
    const expires_at = days === "never" ? null : new Date(Date.now() + Number(days) * DAY_MS).toISOString().replace(/\.\d+Z$/, "Z");
    onMade((await send("post", "/api/v1/api-tokens", { body: { name, scopes, expires_at } })).data as Token);
  });
  const pick = (s: Permission, on: boolean) => setScopes(on ? [...scopes, s] : scopes.filter((x) => x !== s));
  return (
    <FormDialog title={t("new_token")} help={t("new_token_help")} verb={t("make_token")} ready={name !== "" && scopes.length > 0} onSend={() => make.mutateAsync()} onClose={onClose}>
      <FormGroup label={t("token_name")} fieldId="token-name" isRequired>
        <TextInput id="token-name" autoFocus autoComplete="off" maxLength={50} isRequired value={name} onChange={(_, v) => setName(v)} />
      </FormGroup>
      <FormGroup label={t("valid_for")} fieldId="token-days">
        <FormSelect id="token-days" value={days} onChange={(_, v) => setDays(v as (typeof DAYS)[number])}>
          {DAYS.map((d) => <FormSelectOption key={d} value={d} label={t(`valid_${d}`)} />)}
        </FormSelect>
      </FormGroup>
      <FormGroup role="group" label={t("scopes")} fieldId="token-scopes" isRequired>
        <div className="inari-choices">{session.permissions.filter((p) => p !== "session").map((p) => (
          <Checkbox key={p} id={`scope-${p}`} label={t(`scope_${p}`, { nsSeparator: false })} description={p} isChecked={scopes.includes(p)} onChange={(_, on) => pick(p, on)} />
        ))}</div>
      </FormGroup>
    </FormDialog>
  );
}

export function TokenList() {
  const { t } = useTranslation("accounts"), url = useUrlState(), toast = useToast(), query = pageOf(url);
  const [making, setMaking] = useState(false), [made, setMade] = useState<Token | null>(null), [going, setGoing] = useState<Token | null>(null);
  const tokens = useGet("/api/v1/api-tokens", { query });
  const remove = useSend(async (x: Token) => {
    await send("delete", "/api/v1/api-tokens/{id}", { path: { id: x.id } });
    toast.show({ title: t("token_deleted", { name: x.name }) });
  });
  const columns: Column<Token>[] = [
    { key: "name", label: t("token_name"), cell: (x) => <Foreign text={x.name} /> },
    { key: "account", label: t("account"), cell: (x) => <Foreign text={x.account} /> },
    { key: "scopes", label: t("scopes"), wide: true, cell: (x) => <LabelGroup aria-label={t("scopes")} numLabels={12}>{x.scopes.map((s) => <Label key={s} isCompact>{s}</Label>)}</LabelGroup> },
    { key: "used", label: t("used_at"), cell: (x) => (x.used_at ? <Time at={x.used_at} relative /> : t("never_used")) },
    { key: "ends", label: t("ends_at"), cell: (x) => (x.expires_at ? <Time at={x.expires_at} /> : t("valid_never")) },
  ];
  return (
    <>
      <Flex>
        <FlexItem><Button onClick={() => setMaking(true)}>{t("new_token")}</Button></FlexItem>
        <FlexItem><ApiCalls call={{ path: `/api/v1/api-tokens?limit=${query.limit}`, inarictl: "inarictl tokens" }} /></FlexItem>
      </Flex>
      <Loaded of={tokens}>
        {({ data }) => (
          <>
            <DataTable caption={t("tokens")} columns={columns} rows={data.items} rowKey={(x) => x.id} empty={<Empty title={t("no_tokens")}>{t("new_token_help")}</Empty>}
              actions={(x) => <Button variant="link" isDanger aria-label={t("common:act_on", { verb: t("common:delete"), what: x.name })} onClick={() => setGoing(x)}>{t("common:delete")}</Button>} />
            <Pager next={data.next} />
          </>
        )}
      </Loaded>
      {making ? <Create onMade={setMade} onClose={() => setMaking(false)} /> : null}
      {made?.token ? <ShownOnce title={t("token_of", { name: made.name })} text={made.token} onClose={() => setMade(null)}>{t("token_help")}</ShownOnce> : null}
      {going ? (
        <ConfirmDialog title={t("token_delete_of", { name: going.name })} verb={t("token_delete")} danger onConfirm={() => remove.mutateAsync(going)} onClose={() => setGoing(null)}>
          <p>{t("token_delete_help")}</p>
        </ConfirmDialog>
      ) : null}
    </>
  );
}
