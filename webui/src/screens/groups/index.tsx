import { Route, Routes } from "react-router";
import { addTexts } from "../../i18n";
import { NotFound } from "../../frame/frame";
import { GroupList } from "./list";
import { GroupPage } from "./one";
import en from "./texts.en.json";
import ja from "./texts.ja.json";

addTexts("groups", { en, ja });

export default function Groups() {
  return <Routes><Route index element={<GroupList />} /><Route path=":id" element={<GroupPage />} /><Route path="*" element={<NotFound />} /></Routes>;
}
