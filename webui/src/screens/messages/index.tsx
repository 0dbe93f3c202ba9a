import { Route, Routes } from "react-router";
import { addTexts } from "../../i18n";
import { NotFound } from "../../frame/frame";
import { MessageList } from "./list";
import { MessageView } from "./message";
import en from "./texts.en.json";
import ja from "./texts.ja.json";

addTexts("messages", { en, ja });

export default function Messages() {
  return (
    <Routes>
      <Route index element={<MessageList />} />
      <Route path=":id" element={<MessageView />} />
      <Route path="*" element={<NotFound />} />
    </Routes>
  );
}
