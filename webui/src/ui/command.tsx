// A command or text to be copied as it is.
import { useTranslation } from "../i18n/use";
import { Button, CodeBlock, CodeBlockAction, CodeBlockCode } from "./kit";
import { useToast } from "./toast";

export function Command({ text, label }: { text: string; label: string }) {
  const { t } = useTranslation(), toast = useToast();
  const copy = async () => {
    await navigator.clipboard.writeText(text);
    toast.show({ title: t("copied") });
  };
  return (
    <CodeBlock className="inari-command" actions={<CodeBlockAction><Button variant="link" aria-label={t("copy_what", { what: label })} onClick={() => void copy()}>{t("copy")}</Button></CodeBlockAction>}>
      <CodeBlockCode>{text}</CodeBlockCode>
    </CodeBlock>
  );
}
