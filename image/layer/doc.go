// Package layer unpacks, packs and reads the layers of images: directories in the form that overlay
// mounts with the option userxattr take. What a layer removes is a character device 0:0, and a
// directory that hides what is below it has the attribute user.overlay.opaque.
//
//	m := &layer.Meter{Of: layer.NewBudget(0, 0, 0)}
//	out, err := layer.Unpack(ctx, dir, stream, owners, m) // no entry leads out of dir
//	b, err := layer.ReadIn(dirs, "etc/passwd")            // as overlay would show the directories
//	err = layer.Pack(ctx, dir, owners, w)
//
// Archives come from strangers. Budget bounds what an image may take, and a ContentError is content
// that nobody should unpack.
package layer
