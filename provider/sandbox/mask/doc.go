// Package mask decides which parts of a host a sandbox shows when its root is the host's own file
// system: the places of a table, the working tree, and the paths that the user names. It hides the
// secrets that lie in those.
//
// The hidden paths are written down as one directory, the layer. It lies between the host's root
// (below) and the sandbox's own upper layer in an overlay mounted with the option userxattr. A
// hidden path is a whiteout in it, a character device 0:0, which since Linux 5.8 everybody may
// make. An emptied directory has the attribute user.overlay.opaque=y. So the kernel never looks
// further down for such a name, and mkdir, rename, unlink or mount inside never bring the host's
// file back. No mount is needed for a hidden path. A file that appears on the host later is hidden
// as well: the rules do not ask whether it exists.
//
//	LAYER/etc/shadow            a whiteout
//	LAYER/etc                   a directory that looks as the host's: mode, owner, times; the
//	                            host's entries show through
//	LAYER/home                  opaque: nothing of the host's shows
//	LAYER/home/alice            a place of kind Apart: the caller's home. The caller mounts
//	                            another overlay there, with LAYER/home/alice over
//	                            the host's /home/alice, so that .ssh in it stays hidden
//
// A layer's own directories may be used alone as well, so a sandbox that mounts /etc and /var by
// themselves puts LAYER/etc over /etc. Overlayfs refuses a lower layer that lies inside of another
// one, so a layer must not be on the file system that it hides from, unless that is mounted by
// parts; Place finds a directory in memory for it.
//
// What no rule can know, such as a password in a project's directory, is not hidden; see
// Options.Extra. Directories that a sandbox has fresh (/dev, /proc, /run, /sys, /tmp) need no
// rules. An ordinary user cannot give files away. In that user's layer the merged directories
// belong to the user, and look as root's inside. The times of a merged directory are those of the
// moment when the layer was made.
//
// The package needs nothing but the standard library and x/sys, so it may be linked into the agent.
package mask
