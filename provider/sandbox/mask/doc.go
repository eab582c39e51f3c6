// Package mask says what of a host sandboxes show whose root is the host's own file system: the
// places of a table, the working tree, and what the user names. It hides the secrets that lie in
// those.
//
// What is hidden is written down as one directory, the layer: it lies between the host's root
// (below) and the sandbox's own upper layer in an overlay mounted with the option userxattr. A
// hidden path is a whiteout in it, a character device 0:0, which since Linux 5.8 everybody may
// make; an emptied directory is one with the attribute user.overlay.opaque=y. So the kernel never
// looks further down for such a name: nothing that root inside does with mkdir, rename, unlink or
// mount brings the host's file back, no mount is needed for a hidden thing, and something that
// comes to be on the host later is hidden as well, because the rules do not ask whether it is
// there.
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
// rules. An ordinary user cannot give away what he makes, so in his layer the directories that are
// merged belong to him, and look as root's inside. The times of a merged directory are those of the
// moment when the layer was made.
//
// The package needs nothing but the standard library and x/sys, so it may be linked into the agent.
package mask
