// Where the gateway stands: it decides what a joining device is, and what the next step proposes.
import { useState } from "react";
import { useTranslation } from "../../i18n/use";
import { Alert, Button, Form, FormGroup, Radio } from "../../ui";
import { type Placement, PLACEMENTS } from "./standing";

export function PlacementStep({ chosen, onChoose }: { chosen: Placement | null; onChoose: (p: Placement) => void }) {
  const { t } = useTranslation("wizard"), [at, setAt] = useState<Placement>(chosen ?? "dmz");
  return (
    <Form onSubmit={(e) => { e.preventDefault(); onChoose(at); }}>
      <FormGroup role="radiogroup" label={t("placement_label")} fieldId="placement">
        <div className="inari-choices">{PLACEMENTS.map((p) => <Radio key={p} id={`placement-${p}`} name="placement" label={t(`placement_${p}`)} description={t(`placement_help_${p}`)} isChecked={at === p} onChange={() => setAt(p)} />)}</div>
      </FormGroup>
      {at === "open" ? <Alert variant="warning" isInline component="p" title={t("placement_warning")} /> : null}
      <div><Button type="submit">{t("go_on")}</Button></div>
    </Form>
  );
}
