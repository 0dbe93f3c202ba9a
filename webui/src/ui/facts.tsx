// Names and values, one under the other.
import type { ReactNode } from "react";
import { DescriptionList, DescriptionListDescription, DescriptionListGroup, DescriptionListTerm } from "./kit";

export function Facts({ items }: { items: { label: string; value: ReactNode }[] }) {
  return (
    <DescriptionList className="inari-facts" isHorizontal isCompact horizontalTermWidthModifier={{ md: "15rem" }}>
      {items.map((x) => (
        <DescriptionListGroup key={x.label}>
          <DescriptionListTerm>{x.label}</DescriptionListTerm>
          <DescriptionListDescription>{x.value}</DescriptionListDescription>
        </DescriptionListGroup>
      ))}
    </DescriptionList>
  );
}
