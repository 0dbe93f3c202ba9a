// What one publication says of its own rollout; by default nothing, then the policy counts.
import { useTranslation } from "../../i18n/use";
import { useGet } from "../../api/use";
import { ExpandableSection, Loaded } from "../../ui";
import type { Entered } from "./fields";
import { Sense, StrategyFields } from "./strategy";

export default function Details({ entered, onEnter }: { entered: Entered; onEnter: (e: Entered) => void }) {
  const { t } = useTranslation("strategy"), policy = useGet("/api/v1/rollout-policy");
  return (
    <ExpandableSection toggleText={t("of_this")}>
      <Loaded of={policy}>
        {({ data: p }) => (
          <>
            <p>{t("of_this_help")}</p>
            <Sense of={p.effective} />
            <StrategyFields id="publish" of="publish" instead={p.effective} entered={entered} onEnter={onEnter} />
          </>
        )}
      </Loaded>
    </ExpandableSection>
  );
}
