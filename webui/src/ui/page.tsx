// One screen: its title (also the tab's), where it hangs, its actions.  The title takes the focus when one comes here.
import { type ReactNode, useEffect, useRef } from "react";
import { Link, useLocation } from "react-router";
import { Breadcrumb, BreadcrumbItem, Flex, FlexItem, PageBreadcrumb, PageSection, Title } from "./kit";

export interface Crumb { to: string; text: string }

export function Page({ title, crumbs = [], actions, children }: { title: string; crumbs?: Crumb[]; actions?: ReactNode; children: ReactNode }) {
  const head = useRef<HTMLHeadingElement>(null), { pathname } = useLocation();
  useEffect(() => { document.title = `${title} – Inari`; }, [title]);
  useEffect(() => { head.current?.focus({ preventScroll: true }); }, [pathname]);
  return (
    <>
      {crumbs.length === 0 ? null : (
        <PageBreadcrumb>
          <Breadcrumb>
            {crumbs.map((c) => <BreadcrumbItem key={c.to} render={({ className }) => <Link to={c.to} className={className}>{c.text}</Link>} />)}
            <BreadcrumbItem isActive>{title}</BreadcrumbItem>
          </Breadcrumb>
        </PageBreadcrumb>
      )}
      <PageSection>
        <Flex justifyContent={{ default: "justifyContentSpaceBetween" }} alignItems={{ default: "alignItemsCenter" }}>
          <FlexItem><Title headingLevel="h1" tabIndex={-1} ref={head} className="inari-title">{title}</Title></FlexItem>
          {actions === undefined ? null : <FlexItem>{actions}</FlexItem>}
        </Flex>
      </PageSection>
      <PageSection isFilled>{children}</PageSection>
    </>
  );
}
