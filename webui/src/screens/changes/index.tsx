import { Route, Routes } from "react-router";
import { NotFound } from "../../frame/frame";
import { ChangeList } from "./list";
import { ReviewPage } from "./review";
import { RevisionPage } from "./revision";
import "./texts";

export default function Changes() {
  return <Routes><Route index element={<ChangeList />} /><Route path="draft/:id" element={<ReviewPage />} /><Route path=":pub" element={<RevisionPage />} /><Route path="*" element={<NotFound />} /></Routes>;
}
