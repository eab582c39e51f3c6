// Package schema checks JSON values by JSON Schema, as software of SlapOS describes its parameters
// with it: drafts 4 to 2020-12, whose words are told apart by what they hold and not by $schema.
// What format says is not checked, as drafts since 2019 have it.
//
// It is our own, and small, because a program that links the known libraries pays for their
// meta-schemas at each start.
//
// Schemas may come from anywhere. How deep and how often one schema may lead to another is bounded,
// so is the number of documents, and a pattern is matched in time linear to the text.
package schema
