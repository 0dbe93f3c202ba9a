import { Link, Navigate, Route, Routes, useParams } from "react-router";
import { useTranslation } from "../../i18n/use";
import { addTexts } from "../../i18n";
import { NotFound } from "../../frame/frame";
import { useCatalog } from "../../api/catalog";
import { ErrorBox, Loading, Nav, NavItem, NavList, Page, SearchInput, useUrlState } from "../../ui";
import type { Setting } from "../../ui/catalog";
import { AreaSettings } from "./area";
import en from "./texts.en.json";
import ja from "./texts.ja.json";

addTexts("settings", { en, ja });

/** The order in which mail meets them; areas that a later catalog brings come after. */
const ORDER = ["smtp_routing", "sender_filter", "smtp_security", "smtp_tls", "smtp_queue", "smtp_scan", "drift"];
const rank = (area: string) => (ORDER.includes(area) ? ORDER.indexOf(area) : ORDER.length);

function Search({ all }: { all: Setting[] }) {
  const { t } = useTranslation("settings"), url = useUrlState(), text = url.get("q"), layer = url.get("layer");
  const found = text === "" ? [] : all.filter((s) => `${s.label} ${s.key} ${s.param ?? ""} ${s.help}`.toLowerCase().includes(text.toLowerCase())).slice(0, 12);
  return (
    <div className="inari-find">
      <SearchInput aria-label={t("search")} placeholder={t("search")} value={text} onChange={(_, v) => url.set({ q: v })} onClear={() => url.set({ q: "" })} />
      {text === "" ? null : (
        <ul aria-label={t("found")} className="inari-found">
          {found.length === 0 ? <li>{t("found_none")}</li> : found.map((s) => (
            <li key={s.key}><Link to={`/settings/${s.area}?${new URLSearchParams({ ...(layer === "" ? {} : { layer }), key: s.key })}`}>{s.label}</Link> <small>{s.area_label} · {s.key}</small></li>
          ))}
        </ul>
      )}
    </div>
  );
}

function Area() {
  const { t } = useTranslation("settings"), { area = "" } = useParams(), url = useUrlState();
  const catalog = useCatalog();
  const all = catalog.data?.data.items ?? [], layer = url.get("layer");
  const areas = [...new Map(all.map((s) => [s.area, s.area_label])).entries()].toSorted((a, b) => rank(a[0]) - rank(b[0]));
  const settings = all.filter((s) => s.area === area);
  if (catalog.data !== undefined && area === "" && areas[0] !== undefined) return <Navigate to={`/settings/${areas[0][0]}${layer === "" ? "" : `?layer=${encodeURIComponent(layer)}`}`} replace />;
  if (catalog.data !== undefined && settings.length === 0) return <NotFound />;
  return (
    <Page title={settings[0] === undefined ? t("title") : t("title_area", { area: settings[0].area_label })}>
      <ErrorBox error={catalog.error} onRetry={() => void catalog.refetch()} />
      {catalog.data === undefined ? <Loading /> : (
        <>
          <Search all={all} />
          <Nav aria-label={t("areas")} variant="horizontal-subnav" className="inari-areas">
            <NavList>
              {areas.map(([key, label]) => <NavItem key={key} itemId={key} isActive={key === area}><Link to={`/settings/${key}${layer === "" ? "" : `?layer=${encodeURIComponent(layer)}`}`}>{label}</Link></NavItem>)}
            </NavList>
          </Nav>
          <AreaSettings settings={settings} />
        </>
      )}
    </Page>
  );
}

export default function SettingsArea() {
  return <Routes><Route index element={<Area />} /><Route path=":area" element={<Area />} /><Route path="*" element={<NotFound />} /></Routes>;
}
