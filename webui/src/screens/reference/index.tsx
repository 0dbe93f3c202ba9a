// The reference of the API, from the parent's own description of it; a chunk of its own, asked for by nobody else.
import { Link, Route, Routes, useParams } from "react-router";
import { addTexts } from "../../i18n";
import { useTranslation } from "../../i18n/use";
import { AreaLink } from "../../frame/arealink";
import { NotFound } from "../../frame/frame";
import { withQuery } from "../../frame/links";
import { Empty, FilterBar, Page, useUrlState } from "../../ui";
import { areas, matching, operations } from "./document";
import { OperationPage } from "./operation";
import en from "./texts.en.json";
import ja from "./texts.ja.json";

addTexts("reference", { en, ja });

function Operations() {
  const { t } = useTranslation("reference"), url = useUrlState(), q = url.get("q"), found = matching(q);
  return (
    <Page title={t("title")} actions={<a href="/api/v1/openapi.yaml" download="inari-openapi.yaml">{t("download")}</a>}>
      <p>{t("about")}</p>
      <p>{t("token")} <AreaLink to="/accounts?tab=tokens">{t("to_tokens")}</AreaLink></p>
      <FilterBar filters={[{ kind: "text", name: "q", label: t("find") }]} />
      <p role="status" className="inari-small">{t("count", { count: found.length })}</p>
      {found.length === 0 ? <Empty title={t("common:empty_filtered")} /> : null}
      {areas.map((a) => {
        const of = found.filter((o) => o.tags[0] === a.name);
        return of.length === 0 ? null : (
          <section key={a.name} className="inari-block" aria-labelledby={`area-${a.name}`}>
            <h2 id={`area-${a.name}`} lang="en">{a.name}</h2>
            <p className="inari-small" lang="en">{a.description}</p>
            <ul className="inari-operations">
              {of.map((o) => <li key={o.operationId}><Link to={withQuery(`/reference/${o.operationId}`, { q })}><code><b>{o.method.toUpperCase()}</b> {o.path}</code></Link> <span lang="en">{o.summary}</span></li>)}
            </ul>
          </section>
        );
      })}
    </Page>
  );
}

function One() {
  const { id } = useParams(), o = operations.find((x) => x.operationId === id);
  return o ? <OperationPage of={o} /> : <NotFound />;
}

export default function Reference() {
  return <Routes><Route index element={<Operations />} /><Route path=":id" element={<One />} /><Route path="*" element={<NotFound />} /></Routes>;
}
