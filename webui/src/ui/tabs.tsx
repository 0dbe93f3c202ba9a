// Tabs whose choice is in the URL ("tab"); only the open one is drawn.
import type { ReactNode } from "react";
import { KitTabs, Tab, TabTitleText } from "./kit";
import { useUrlState } from "./url";

export interface TabDef { key: string; title: string; content: () => ReactNode }
export function Tabs({ label, tabs }: { label: string; tabs: TabDef[] }) {
  const url = useUrlState(), open = tabs.find((x) => x.key === url.get("tab"))?.key ?? tabs[0]?.key ?? "";
  return (
    <>
      <KitTabs aria-label={label} activeKey={open} onSelect={(_, key) => url.set({ tab: key === tabs[0]?.key ? "" : String(key) }, { push: true })}>
        {tabs.map((x) => <Tab key={x.key} eventKey={x.key} title={<TabTitleText>{x.title}</TabTitleText>} tabContentId={`tab-${x.key}`} />)}
      </KitTabs>
      <section id={`tab-${open}`} role="tabpanel" aria-label={tabs.find((x) => x.key === open)?.title} tabIndex={0} className="inari-tab">
        {tabs.find((x) => x.key === open)?.content()}
      </section>
    </>
  );
}
