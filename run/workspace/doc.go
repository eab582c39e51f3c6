// Package workspace is what both sides of a sync say to each other. A workspace is the copy of a
// working tree on an instance; package scan says what belongs in it, package receive keeps it
// there, package send brings it up to date from here.
//
// The two talk over a stream of bytes, compute.Workspacer's. What either says is packed in blocks
// (Writer, Reader), and within these stand messages, each a kind and its fields. This side
// announces itself (Announce), says what the tree is to be (Tree) together with the contents that
// the other side will most likely miss (Content), and Go. The other side answers with Ready when
// the workspace is complete, or asks: for the whole list of entries (NeedTree), or for contents
// (Want), of large ones with the chunks that it has of an earlier form (WantParts). What is asked
// for is sent, then Go again. It may say for whom it waits (Waiting), and what is wrong (Failed).
// When this side closes the stream, it has given the workspace back.
//
// Nothing that comes is believed: lengths are bounded before memory is taken, paths are checked
// where they are decoded and again where they are opened, contents are hashed before they are used.
package workspace
