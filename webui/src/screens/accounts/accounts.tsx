// Accounts of people: made, given a role and a language, switched off, a forgotten password replaced.
import { useState } from "react";
import { useTranslation } from "../../i18n/use";
import type { Schemas } from "../../api/client";
import { get, send, useGet, useSend } from "../../api/use";
import { useSession } from "../../frame/session";
import { LANGUAGES } from "../../i18n";
import {
  ApiCalls, Button, type Column, ConfirmDialog, DataTable, Flex, FlexItem, Foreign, FormDialog, FormGroup, FormSelect, FormSelectOption, HelperText, HelperTextItem, Loaded, pageOf, Pager, Status, TextInput, useToast,
  useUrlState,
} from "../../ui";

type Account = Schemas["Account"];
const ROLES = ["viewer", "operator", "admin"] as const;

/** One field of an account is changed, against the version just read: whoever changed it meanwhile is not overwritten unseen. */
async function patch(a: Account, body: Schemas["AccountPatch"]) {
  return send("patch", "/api/v1/accounts/{id}", { path: { id: a.id }, body, ifMatch: `"${a.version}"` });
}

function Fields({ role, setRole, lang, setLang }: { role: Account["role"]; setRole: (r: Account["role"]) => void; lang: "en" | "ja"; setLang: (l: "en" | "ja") => void }) {
  const { t } = useTranslation("accounts");
  return (
    <>
      <FormGroup label={t("role")} fieldId="account-role">
        <FormSelect id="account-role" value={role} onChange={(_, v) => setRole(v as Account["role"])}>
          {ROLES.map((r) => <FormSelectOption key={r} value={r} label={t(`common:role_${r}`)} />)}
        </FormSelect>
        <HelperText><HelperTextItem>{t(`role_help_${role}`)}</HelperTextItem></HelperText>
      </FormGroup>
      <FormGroup label={t("language")} fieldId="account-lang">
        <FormSelect id="account-lang" value={lang} onChange={(_, v) => setLang(v as "en" | "ja")}>
          {(["en", "ja"] as const).map((l) => <FormSelectOption key={l} value={l} label={LANGUAGES[l]} />)}
        </FormSelect>
      </FormGroup>
    </>
  );
}

function Password({ value, set }: { value: string; set: (v: string) => void }) {
  const { t } = useTranslation("accounts");
  return (
    <FormGroup label={t("first_password")} fieldId="account-password" isRequired>
      <TextInput id="account-password" type="password" autoComplete="new-password" maxLength={200} isRequired value={value} onChange={(_, v) => set(v)} />
      <HelperText><HelperTextItem>{t("first_password_help")}</HelperTextItem></HelperText>
    </FormGroup>
  );
}

function Create({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation("accounts"), toast = useToast();
  const [name, setName] = useState(""), [role, setRole] = useState<Account["role"]>("operator"), [lang, setLang] = useState<"en" | "ja">("en"), [password, setPassword] = useState("");
  const make = useSend(async () => {
    await send("post", "/api/v1/accounts", { body: { name, role, lang, password, disabled: false } });
    toast.show({ title: t("made", { name }) });
  });
  return (
    <FormDialog title={t("new_account")} verb={t("make_account")} ready={name !== "" && password !== ""} onSend={() => make.mutateAsync()} onClose={onClose}>
      <FormGroup label={t("name")} fieldId="account-name" isRequired>
        <TextInput id="account-name" autoFocus autoComplete="off" autoCapitalize="none" spellCheck={false} maxLength={63} isRequired value={name} onChange={(_, v) => setName(v)} />
        <HelperText><HelperTextItem>{t("name_help")}</HelperTextItem></HelperText>
      </FormGroup>
      <Fields role={role} setRole={setRole} lang={lang} setLang={setLang} />
      <Password value={password} set={setPassword} />
    </FormDialog>
  );
}

function Change({ account, onClose }: { account: Account; onClose: () => void }) {
  const { t } = useTranslation("accounts"), toast = useToast(), [role, setRole] = useState(account.role), [lang, setLang] = useState<"en" | "ja">(account.lang ?? "en");
  const save = useSend(async () => {
    await patch(account, { ...(role === account.role ? {} : { role }), ...(lang === account.lang ? {} : { lang }) });
    toast.show({ title: t("saved", { name: account.name }) });
  });
  return (
    <FormDialog title={t("change_of", { name: account.name })} verb={t("common:save")} ready={role !== account.role || lang !== account.lang} onSend={() => save.mutateAsync()} onClose={onClose}>
      <Fields role={role} setRole={setRole} lang={lang} setLang={setLang} />
    </FormDialog>
  );
}

function Reset({ account, onClose }: { account: Account; onClose: () => void }) {
  const { t } = useTranslation("accounts"), toast = useToast(), [password, setPassword] = useState("");
  const save = useSend(async () => {
    await patch(account, { password });
    toast.show({ title: t("reset_done", { name: account.name }) });
  });
  return (
    <FormDialog title={t("reset_of", { name: account.name })} help={t("reset_help")} verb={t("reset")} ready={password !== ""} onSend={() => save.mutateAsync()} onClose={onClose}>
      <Password value={password} set={setPassword} />
    </FormDialog>
  );
}

export function AccountList() {
  const { t } = useTranslation("accounts"), url = useUrlState(), toast = useToast(), { session } = useSession(), query = pageOf(url);
  const [doing, setDoing] = useState<{ what: "create" | "change" | "reset" | "delete"; account?: Account } | null>(null);
  const accounts = useGet("/api/v1/accounts", { query });
  const able = useSend(async (a: Account) => {
    const now = (await patch(a, { disabled: !a.disabled })).data as Account;
    toast.show({
      title: t(now.disabled ? "disabled_done" : "enabled_done", { name: a.name }),
      action: { text: t("undo"), run: () => able.mutate(now) },
    });
  });
  const remove = useSend(async (a: Account) => {
    const fresh = await get("/api/v1/accounts/{id}", { path: { id: a.id } });
    await send("delete", "/api/v1/accounts/{id}", { path: { id: a.id }, ifMatch: fresh.etag });
    toast.show({ title: t("deleted", { name: a.name }) });
  });
  const columns: Column<Account>[] = [
    { key: "name", label: t("name"), cell: (a) => <><Foreign text={a.name} />{a.name === session.user ? ` (${t("you")})` : ""}</> },
    { key: "role", label: t("role"), cell: (a) => t(`common:role_${a.role}`) },
    { key: "language", label: t("language"), cell: (a) => LANGUAGES[a.lang ?? "en"] },
    { key: "state", label: t("state"), cell: (a) => (a.disabled ? <Status tone="warn" text={t("state_disabled")} /> : a.must_change_password ? <Status tone="busy" text={t("state_first")} /> : <Status tone="good" text={t("state_active")} />) },
  ];
  const close = () => setDoing(null);
  return (
    <>
      <Flex>
        <FlexItem><Button onClick={() => setDoing({ what: "create" })}>{t("new_account")}</Button></FlexItem>
        <FlexItem><ApiCalls call={{ path: `/api/v1/accounts?limit=${query.limit}`, inarictl: "inarictl accounts" }} /></FlexItem>
      </Flex>
      <Loaded of={accounts}>
        {({ data }) => (
          <>
            <DataTable caption={t("accounts")} columns={columns} rows={data.items} rowKey={(a) => a.id} actions={(a) => (
              <div className="inari-actions">
                <Button variant="link" aria-label={t("common:act_on", { verb: t("common:edit"), what: a.name })} onClick={() => setDoing({ what: "change", account: a })}>{t("common:edit")}</Button>
                <Button variant="link" aria-label={t("common:act_on", { verb: t("reset"), what: a.name })} onClick={() => setDoing({ what: "reset", account: a })}>{t("reset")}</Button>
                {a.name === session.user ? null : <><Button variant="link" aria-label={t("common:act_on", { verb: t(a.disabled ? "enable" : "disable"), what: a.name })} onClick={() => able.mutate(a, { onError: toast.fail })}>{t(a.disabled ? "enable" : "disable")}</Button>
                <Button variant="link" isDanger aria-label={t("common:act_on", { verb: t("common:delete"), what: a.name })} onClick={() => setDoing({ what: "delete", account: a })}>{t("common:delete")}</Button></>}
              </div>
            )} />
            <Pager next={data.next} />
          </>
        )}
      </Loaded>
      {doing?.what === "create" ? <Create onClose={close} /> : null}
      {doing?.what === "change" && doing.account ? <Change account={doing.account} onClose={close} /> : null}
      {doing?.what === "reset" && doing.account ? <Reset account={doing.account} onClose={close} /> : null}
      {doing?.what === "delete" && doing.account ? (
        <ConfirmDialog title={t("delete_of", { name: doing.account.name })} verb={t("delete_account")} danger typed={doing.account.name}
          onConfirm={() => remove.mutateAsync(doing.account as Account)} onClose={close}>
          <p>{t("delete_help")}</p>
        </ConfirmDialog>
      ) : null}
    </>
  );
}
