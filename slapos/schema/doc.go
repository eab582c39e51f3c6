// Package schema checks JSON values by JSON Schema, in which software of SlapOS describes its
// parameters: drafts 4 to 2020-12. Their keywords are told apart by their content and not by
// $schema. The keyword format is not checked, like in drafts since 2019.
//
// It is our own, and small, because a program that links the known libraries pays for their
// meta-schemas at each start.
//
// Schemas may come from anywhere. So there are bounds on how deep and how often one schema may lead
// to another, and on the number of documents. A pattern is matched in time linear to the text.
package schema
