// Package workspace is the protocol between the two sides of a sync. A workspace is the copy of
// a working tree on an instance. Package scan says what belongs in it. Package receive keeps it
// there, and package send updates it from here.
//
// The two sides talk over the byte stream of a provider.Workspacer. Messages have a kind and
// fields, and are packed in blocks (Writer, Reader). The client sends Announce, then Tree, then
// the contents that the other side will probably lack (Content), then Go.
//
// The other side answers Ready when the workspace is complete. Otherwise it asks for the whole
// list of entries (NeedTree), for contents (Want), or for parts of a large file by the chunks it
// has (WantParts). The client sends these, then Go again. The other side may also name the run
// that it waits for (Waiting) or an error (Failed). Closing the stream gives the workspace back.
//
// Neither side trusts the other. Lengths are bounded before memory is taken. Paths are checked
// when they are decoded and again when they are opened. Contents are hashed before they are
// used.
package workspace
