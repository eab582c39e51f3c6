package api

import "time"

// WantedThing is a source, a bundle or a project as the caller wants it: the files of its directory
// of configuration.
type WantedThing struct {
	Kind  string      `json:"kind" enum:"source,bundle,project"`
	Name  string      `json:"name" maxLength:"63" pattern:"^[A-Za-z0-9][A-Za-z0-9._-]*$"`
	Files []ThingFile `json:"files" doc:"Files below sources/NAME, bundles/NAME or projects/NAME. One of them is source.conf, bundle.conf or project.conf."`
}

// ThingFile is a file of a thing: text, or other bytes in base64.
type ThingFile struct {
	Path   string `json:"path" maxLength:"1024" doc:"Path below the object's directory, with / between its parts" example:"source.conf"`
	Mode   string `json:"mode,omitempty" pattern:"^0[0-7]{3}$" doc:"Permissions in octal digits. The default is 0644."`
	Text   string `json:"text,omitempty"`
	Base64 []byte `json:"base64,omitempty" doc:"Content of a file that is not UTF-8 text, in place of text"`
}

// AppliedThing is an applied thing in its normal form: files sorted by path, as text where
// possible.
type AppliedThing struct {
	Kind     string            `json:"kind" enum:"source,bundle,project"`
	Name     string            `json:"name"`
	Labels   map[string]string `json:"labels"`
	Files    []ThingFile       `json:"files,omitempty" doc:"Files of the object. Left out in a list of objects."`
	Digest   string            `json:"digest" doc:"Digest of the files"`
	Revision int64             `json:"revision" doc:"Revision of the last change. It only grows, and is the ETag."`
	By       string            `json:"by" doc:"Who made the last change"`
	At       time.Time         `json:"at" doc:"When the last change was made"`
}

// AppliedSet lists applied things.
type AppliedSet struct {
	Revision int64          `json:"revision" doc:"Revision of the last change. 0 means that there was none."`
	Things   []AppliedThing `json:"things" doc:"Objects by kind and name"`
}

// ApplySet asks for things to become as it says. All change, or none.
type ApplySet struct {
	Labels map[string]string `json:"labels,omitempty" doc:"Labels for each of the objects. Left out: an object keeps its labels."`
	Things []WantedThing     `json:"things"`
	Prune  bool              `json:"prune,omitempty" doc:"Remove objects that were applied with all of these labels and are not in this request. It needs labels."`
	Take   bool              `json:"take,omitempty" doc:"Change also objects of another set, whose labels have other values. Without it that is a conflict."`
	DryRun bool              `json:"dry_run,omitempty" doc:"Check the request and say what would change, but change nothing"`
	Diff   bool              `json:"diff,omitempty" doc:"Show how files change"`
}

// ApplyAnswer says what an ApplySet changed.
type ApplyAnswer struct {
	Revision int64         `json:"revision" doc:"Revision of the last change, which may be an earlier one"`
	DryRun   bool          `json:"dry_run"`
	Changes  []ThingChange `json:"changes" doc:"One line for each object: those in the request, and those that were pruned."`
	Warnings []string      `json:"warnings"`
}

// ThingChange says what becomes of one thing.
type ThingChange struct {
	Kind   string `json:"kind" enum:"source,bundle,project"`
	Name   string `json:"name"`
	Action string `json:"action" enum:"created,changed,unchanged,pruned"`
	Note   string `json:"note,omitempty" doc:"Something else to know about the object"`
	Diff   string `json:"diff,omitempty" doc:"Unified diff of the labels and files, if the request asked for it"`
}

// PutThing asks for one thing to become as it says.
type PutThing struct {
	Labels map[string]string `json:"labels,omitempty" doc:"All labels of the object"`
	Files  []ThingFile       `json:"files"`
}
