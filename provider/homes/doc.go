// Package homes keeps the directories that a provider on this machine has, one for each of its
// instances. Together they lie in a directory of the source's own:
//
//	instances/ID/   an instance's home. In it the file owner, the marker, says whose it is; what
//	                has none, or another's, is left alone
//	new-*           what is being made, and will be renamed when it is whole
//	trash/          what was thrown away, and will be deleted
//
// A home is changed only by who has its lock, which the kernel drops with its process. Whatever
// somebody dies over is finished, or swept away, by whoever comes next. All of it is of Linux.
package homes
