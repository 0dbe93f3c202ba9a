// A link into another area, which this console may not have or this role may not see: then it is a text.
import type { ReactNode } from "react";
import { Link } from "react-router";
import { areas } from "./areas";
import { useSession } from "./session";

export function AreaLink({ to, className, children }: { to: string; className?: string; children: ReactNode }) {
  const { may } = useSession(), first = to.split(/[/?]/)[1];
  const there = areas.some((a) => a.path === first && (a.permission === null || may(a.permission)));
  return there ? <Link to={to} className={className}>{children}</Link> : <span className={className}>{children}</span>;
}
