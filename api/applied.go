package api

import "time"

// WantedThing is a source, a bundle or a project as the caller wants it: the files of its directory
// of configuration.
type WantedThing struct {
	Kind  string      `json:"kind" enum:"source,bundle,project"`
	Name  string      `json:"name" maxLength:"63" pattern:"^[A-Za-z0-9][A-Za-z0-9._-]*$"`
	Files []ThingFile `json:"files" doc:"below sources/NAME, bundles/NAME or projects/NAME; source.conf, bundle.conf or project.conf is among them"`
}

// ThingFile is a file of a thing: text, or other bytes in base64.
type ThingFile struct {
	Path   string `json:"path" maxLength:"1024" doc:"below the thing's directory, with / between its parts" example:"source.conf"`
	Mode   string `json:"mode,omitempty" pattern:"^0[0-7]{3}$" doc:"its permissions, in octal digits; 0644 unless it is said"`
	Text   string `json:"text,omitempty"`
	Base64 []byte `json:"base64,omitempty" doc:"in place of text, of a file that is no text in UTF-8"`
}

// AppliedThing is an applied thing in its normal form: files sorted by path, as text where
// possible.
type AppliedThing struct {
	Kind     string            `json:"kind" enum:"source,bundle,project"`
	Name     string            `json:"name"`
	Labels   map[string]string `json:"labels"`
	Files    []ThingFile       `json:"files,omitempty" doc:"left out where only the things were asked for"`
	Digest   string            `json:"digest" doc:"of its files"`
	Revision int64             `json:"revision" doc:"at which it was last changed; it only grows, and is its ETag"`
	By       string            `json:"by" doc:"who changed it last"`
	At       time.Time         `json:"at" doc:"and when"`
}

// AppliedSet lists applied things.
type AppliedSet struct {
	Revision int64          `json:"revision" doc:"of the last change; 0: there never was one"`
	Things   []AppliedThing `json:"things" doc:"by kind and name"`
}

// ApplySet asks for things to become as it says. All change, or none.
type ApplySet struct {
	Labels map[string]string `json:"labels,omitempty" doc:"of each of the things; left out: a thing's labels stay"`
	Things []WantedThing     `json:"things"`
	Prune  bool              `json:"prune,omitempty" doc:"take away what was applied with all of these labels, and is not among the things; it needs labels"`
	Take   bool              `json:"take,omitempty" doc:"also what has one of these labels with another value, and so is of another set: without this it is a conflict"`
	DryRun bool              `json:"dry_run,omitempty" doc:"check it, say what would change, and change nothing"`
	Diff   bool              `json:"diff,omitempty" doc:"say how files change"`
}

// ApplyAnswer says what an ApplySet changed.
type ApplyAnswer struct {
	Revision int64         `json:"revision" doc:"of the last change, this or an earlier one"`
	DryRun   bool          `json:"dry_run"`
	Changes  []ThingChange `json:"changes" doc:"a line for each thing: those that were asked for, and those that were pruned"`
	Warnings []string      `json:"warnings"`
}

// ThingChange says what becomes of one thing.
type ThingChange struct {
	Kind   string `json:"kind" enum:"source,bundle,project"`
	Name   string `json:"name"`
	Action string `json:"action" enum:"created,changed,unchanged,pruned"`
	Note   string `json:"note,omitempty" doc:"what is to be known of it besides"`
	Diff   string `json:"diff,omitempty" doc:"a unified diff of its labels and files, if it was asked for"`
}

// PutThing asks for one thing to become as it says.
type PutThing struct {
	Labels map[string]string `json:"labels,omitempty" doc:"all that it has"`
	Files  []ThingFile       `json:"files"`
}
