// An exported document: first what it would change, then a draft, then published like any other change.
import { useState } from "react";
import { Link } from "react-router";
import { useTranslation } from "../../i18n/use";
import type { Schemas } from "../../api/client";
import { send, useSend } from "../../api/use";
import { useSession } from "../../frame/session";
import {
  Alert, ApiCalls, Button, Checkbox, type Column, DataTable, ErrorBox, Flex, FlexItem, Foreign, Form, FormGroup, HelperText, HelperTextItem, Radio, TextInput, Title, useToast,
} from "../../ui";

type Part = "fleet" | "groups" | "devices";
type Diff = Schemas["DiffItem"];
type Imported = Schemas["ImportedDraft"];
const PARTS: Part[] = ["fleet", "groups", "devices"];
const LARGEST = 8 * 2 ** 20;
const shown = (v: unknown) => (v === undefined || v === null ? "–" : typeof v === "string" ? v : JSON.stringify(v));

function Changes({ diff }: { diff: Diff[] }) {
  const { t } = useTranslation("io");
  const columns: Column<Diff>[] = [
    { key: "layer", label: t("layer"), cell: (d) => <>{t(`layer_${d.layer}`)} {d.name ? <Foreign text={d.name} /> : null}</> },
    { key: "setting", label: t("setting"), cell: (d) => <Foreign text={d.label ?? d.key} /> },
    { key: "row", label: t("row"), cell: (d) => <Foreign text={d.row ?? ""} /> },
    { key: "old", label: t("old"), wide: true, cell: (d) => <Foreign text={shown(d.old)} /> },
    { key: "new", label: t("new"), wide: true, cell: (d) => <Foreign text={shown(d.new)} /> },
  ];
  return <DataTable caption={t("changes")} columns={columns} rows={diff} rowKey={(d) => `${d.layer}/${d.id ?? ""}/${d.key}/${d.row ?? ""}`} empty={<p>{t("no_changes")}</p>} />;
}

export function Import() {
  const { t } = useTranslation("io"), toast = useToast(), { may } = useSession();
  const [file, setFile] = useState<{ name: string; document: Schemas["ConfigDocument"] } | null>(null), [bad, setBad] = useState(""), [mode, setMode] = useState<"merge" | "replace">("merge");
  const [parts, setParts] = useState<Part[]>(["fleet", "groups"]), [title, setTitle] = useState(""), [seen, setSeen] = useState<Imported | null>(null), [made, setMade] = useState<Imported | null>(null);
  const body = () => ({ document: file?.document as Schemas["ConfigDocument"], mode, parts, ...(title === "" ? {} : { title }) });
  const look = useSend(async () => { setSeen((await send("post", "/api/v1/config/import", { body: body(), query: { dry_run: true } })).data as Imported); });
  const make = useSend(async () => {
    setMade((await send("post", "/api/v1/config/import", { body: body() })).data as Imported);
    setSeen(null);
    toast.show({ title: t("draft_made") });
  });
  const choose = async (f: File | undefined) => {
    setFile(null); setSeen(null); setMade(null); setBad(""); look.reset(); make.reset();
    if (f === undefined) return;
    if (f.size > LARGEST) { setBad(t("too_large")); return; }
    try {
      const document = JSON.parse(await f.text()) as Schemas["ConfigDocument"];
      if (document?.format !== "inari.config") setBad(t("not_ours"));
      else { setFile({ name: f.name, document }); setTitle(t("title_of", { file: f.name }).slice(0, 200)); }
    } catch { setBad(t("not_json")); }
  };
  const again = () => { setSeen(null); setMade(null); };
  const allowed = may("settings:write");
  return (
    <>
      <p>{t("import_help")}</p>
      {allowed ? null : <Alert variant="info" isInline component="p" title={t("common:forbidden")}>{t("common:forbidden_help", { permission: "settings:write" })}</Alert>}
      <Form onSubmit={(e) => { e.preventDefault(); if (file !== null) look.mutate(); }}>
        <FormGroup label={t("file")} fieldId="import-file" isRequired>
          <input id="import-file" type="file" accept=".json,application/json" disabled={!allowed} onChange={(e) => void choose(e.target.files?.[0])} />
          {bad === "" ? null : <HelperText isLiveRegion><HelperTextItem variant="error">{bad}</HelperTextItem></HelperText>}
        </FormGroup>
        <FormGroup role="radiogroup" label={t("mode")} fieldId="import-mode">
          <div className="inari-choices">{(["merge", "replace"] as const).map((m) => <Radio key={m} id={`mode-${m}`} name="mode" label={t(`mode_${m}`)} description={t(`mode_help_${m}`)} isChecked={mode === m} onChange={() => { setMode(m); again(); }} />)}</div>
        </FormGroup>
        <FormGroup role="group" label={t("parts")} fieldId="import-parts">
          <div className="inari-choices">{PARTS.map((p) => <Checkbox key={p} id={`part-${p}`} label={t(`part_${p}`)} isChecked={parts.includes(p)} onChange={(_, on) => { setParts(on ? PARTS.filter((x) => x === p || parts.includes(x)) : parts.filter((x) => x !== p)); again(); }} />)}</div>
        </FormGroup>
        <FormGroup label={t("draft_name")} fieldId="import-title"><TextInput id="import-title" maxLength={200} value={title} onChange={(_, v) => setTitle(v)} /></FormGroup>
        <ErrorBox error={look.error ?? make.error} />
        <Flex>
          <FlexItem><Button type="submit" isDisabled={!allowed || file === null || parts.length === 0 || look.isPending} isLoading={look.isPending}>{t("look")}</Button></FlexItem>
          <FlexItem><ApiCalls call={{ method: "POST", path: "/api/v1/config/import?dry_run=true", body: { document: {}, mode, parts }, inarictl: `inarictl import FILE --mode ${mode} --parts ${parts.join(",")} --dry-run` }} /></FlexItem>
        </Flex>
      </Form>
      {seen === null ? null : (
        <>
          <Title headingLevel="h2">{t("would_change", { count: seen.diff.length })}</Title>
          {seen.findings.map((f, i) => <Alert key={i} variant={f.warning ? "warning" : "danger"} isInline component="p" title={f.message}>{f.remedy}</Alert>)}
          <Changes diff={seen.diff} />
          {seen.diff.length > 0 ? <Button isLoading={make.isPending} onClick={() => make.mutate()}>{t("make_draft")}</Button> : null}
        </>
      )}
      {made === null ? null : <Alert variant="success" isInline component="p" title={t("draft_made")} actionLinks={<Link to={`/changes/${encodeURIComponent(made.id)}`}>{t("to_draft")}</Link>}>{t("draft_help", { count: made.diff.length })}</Alert>}
    </>
  );
}
