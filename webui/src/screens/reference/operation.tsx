// One operation: what it takes, what it answers, and how to ask for it.
import { useState } from "react";
import { useTranslation } from "../../i18n/use";
import { withQuery } from "../../frame/links";
import { ApiCalls, type Call, Card, CardBody, CardTitle, type Column, DataTable, ExpandableSection, Facts, Page, useUrlState } from "../../ui";
import { example, type Operation, type Parameter, resolved, type Response, type Schema, typeText } from "./document";

const DEEP = 8;
/** The members of a shape, each with its own below it. */
function Shape({ of, depth = 0 }: { of: Schema; depth?: number }) {
  const { t } = useTranslation("reference"), { value: s } = resolved(of);
  const several = s.allOf ?? s.oneOf ?? s.anyOf, inner = s.items ?? (typeof s.additionalProperties === "object" ? s.additionalProperties : undefined);
  if (depth > DEEP) return <>…</>;
  return (
    <>
      {several ? <ul className="inari-shape">{several.map((x, i) => <li key={i}><code>{resolved(x).name || typeText(resolved(x).value)}</code> <Shape of={x} depth={depth + 1} /></li>)}</ul> : null}
      {s.properties ? (
        <ul className="inari-shape">
          {Object.entries(s.properties).map(([name, p]) => {
            const { value, name: kind } = resolved(p);
            return (
              <li key={name}>
                <code>{name}</code> <span className="inari-small">{[kind, typeText(value)].filter((x) => x !== "").join(": ")}{s.required?.includes(name) ? `, ${t("required")}` : ""}{value.writeOnly ? `, ${t("write_only")}` : ""}</span>
                {value.description ?? p.description ? <div lang="en">{p.description ?? value.description}</div> : null}
                <Shape of={p} depth={depth + 1} />
              </li>
            );
          })}
        </ul>
      ) : null}
      {inner && (inner.$ref !== undefined || inner.properties || typeText(inner) !== "") ? <div className="inari-shape"><code>{s.items ? "[ ]" : "{ }"}</code> <span className="inari-small">{[resolved(inner).name, typeText(resolved(inner).value)].filter((x) => x !== "").join(": ")}</span><Shape of={inner} depth={depth + 1} /></div> : null}
    </>
  );
}

function Parameters({ of }: { of: Parameter[] }) {
  const { t } = useTranslation("reference");
  const columns: Column<Parameter>[] = [
    { key: "name", label: t("name"), cell: (p) => <code>{p.name}</code> },
    { key: "in", label: t("where"), cell: (p) => t(`in_${p.in}`) },
    { key: "type", label: t("type"), wide: true, cell: (p) => <code>{typeText(resolved(p.schema).value)}</code> },
    { key: "required", label: t("required"), cell: (p) => t(p.required ? "common:yes" : "common:no") },
    { key: "about", label: t("meaning"), wide: true, cell: (p) => <span lang="en">{p.description ?? resolved(p.schema).value.description ?? ""}</span> },
  ];
  return <DataTable caption={t("parameters")} columns={columns} rows={of} rowKey={(p) => `${p.in} ${p.name}`} />;
}

/** Drawn when it is opened: shapes of answers are long. */
function Answer({ title, of }: { title: string; of: Schema }) {
  const [open, setOpen] = useState(false);
  return <ExpandableSection toggleText={title} isExpanded={open} onToggle={(_, on) => setOpen(on)}>{open ? <Shape of={of} /> : null}</ExpandableSection>;
}

const KNOWN = ["400", "401", "403", "404", "409", "412", "422", "428", "default"];
function Answers({ of: o }: { of: Operation }) {
  const { t } = useTranslation("reference"), all = Object.entries(o.responses).map(([status, r]) => ({ status, ...resolved<Response>(r) }));
  const good = all.filter((x) => x.name !== "Problem"), bad = all.filter((x) => x.name === "Problem");
  return (
    <>
      {good.map((x) => (
        <section key={x.status} className="inari-block">
          <h3>{x.status} <span lang="en">{x.value.description}</span></h3>
          {Object.entries(x.value.content ?? {}).map(([type, c]) => (
            <div key={type}><code>{type}</code> {c.schema ? <><span className="inari-small">{resolved(c.schema).name}</span><Answer title={t("shape_of", { status: x.status, type })} of={c.schema} /></> : null}</div>
          ))}
        </section>
      ))}
      <h3>{t("errors")}</h3>
      <p>{t("errors_help")}</p>
      <ul>{bad.map((x) => <li key={x.status}><code>{x.status === "default" ? t("others") : x.status}</code> {KNOWN.includes(x.status) ? t(`status_${x.status}`) : <span lang="en">{x.value.description}</span>}</li>)}</ul>
    </>
  );
}

export function OperationPage({ of: o }: { of: Operation }) {
  const { t } = useTranslation("reference"), q = useUrlState().get("q"), parameters = (o.parameters ?? []).map((p) => resolved(p).value), bodies = Object.entries(o.requestBody?.content ?? {}), schema = bodies[0]?.[1].schema;
  const call: Call = { method: o.method.toUpperCase() as "GET", path: o.path, ...(schema && bodies[0]?.[0].includes("json") ? { body: example(schema) } : {}) };
  return (
    <Page title={`${o.method.toUpperCase()} ${o.path}`} crumbs={[{ to: withQuery("/reference", { q }), text: t("title") }]} actions={<ApiCalls call={call} />}>
      <div className="inari-cards">
        <p lang="en">{o.summary}</p>
        <Facts items={[
          { label: t("id"), value: <code>{o.operationId}</code> },
          { label: t("permission"), value: o["x-permission"] === "none" ? t("no_permission") : <code>{o["x-permission"]}</code> },
        ]} />
        {parameters.length > 0 ? <Card isCompact component="section"><CardTitle component="h2">{t("parameters")}</CardTitle><CardBody><Parameters of={parameters} /></CardBody></Card> : null}
        {bodies.map(([type, c]) => <Card key={type} isCompact component="section"><CardTitle component="h2">{t("body")}</CardTitle><CardBody><code>{type}</code>{c.schema ? <Shape of={c.schema} /> : null}</CardBody></Card>)}
        <Card isCompact component="section"><CardTitle component="h2">{t("answers")}</CardTitle><CardBody><Answers of={o} /></CardBody></Card>
      </div>
    </Page>
  );
}
