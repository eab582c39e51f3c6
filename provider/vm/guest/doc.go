// Package guest is the side of provider/vm that runs inside a virtual machine: it is linked into
// hostler-agent.
//
// BootMain is the kernel's first process where hostler gives the machine its kernel: it leaves a
// child behind that waits until the image's own initrd has switched to the real root, and becomes
// the initrd's /init. So any image that is booted directly has the agent, and needs nothing for it.
// ServeMain is that child, and what a seed starts in images that boot by themselves: it answers on
// the virtio-serial ports hostler.agent.0 to 7, on each one client of the host at a time, for ever.
//
// A port does not say which client is at its other end: bytes for one client may come to the next.
// So a conversation begins with the guest's greeting, of 16 bytes. The guest sends it only when it
// has seen the last client go and has discarded that client's bytes. A client that gets something
// else, or nothing for a moment, hangs up and tries again. After the greeting the client sends any
// number of identities (see Identity), and the guest answers each. Then the client speaks the
// agent's protocol.
//
// It imports the standard library, golang.org/x/sys/unix, compute, remote/agent and remote/process
// only, as it is a part of a small program.
package guest
