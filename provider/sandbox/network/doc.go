// Package network gives sandboxes a network of their own: an address behind this machine's, by NAT,
// and ports of this machine that lead into them. It needs root, and speaks to the kernel itself
// (rtnetlink, nftables); no program is run. A sandbox without a network has a name space with
// nothing but lo, for which nothing here is needed.
//
// # What is made
//
// Each sandbox has a pair of veth links: eth0 in its network name space, and hsTTTT-XXXXXXXX here,
// where TTTT stands for the installation and XXXXXXXX for the sandbox. When all is done the link's
// alias says "hostler INSTALLATION ID ADDRESS". Its address is a /32 out of a range that no route
// of the host overlaps. The gateway is the first address of the range, the same on each link. The
// route to the sandbox is made with NLM_F_EXCL, so the kernel's routing table hands out addresses:
// no two processes, nor two installations, can take the same one, and a dead process's address is
// free with its link. The only files are a lock, the range, the sandboxes' records, and a note of
// which interfaces forward because of us.
//
// One nftables table for each installation, inet hostler-TTTTTTTT, has all the rules:
//   - Sandboxes go out masqueraded.
//   - They cannot reach each other, this machine (also by its public addresses), link-local
//     addresses and the clouds' metadata services, nor what Options.Deny lists.
//   - A new connection is judged by its original address and by its final one, so no other
//     program's translation opens a way.
//   - Their packets must have their own address.
//   - Each may have 8,192 connections at once, since the kernel's table of them is the whole
//     machine's.
//   - From outside they are reached only by a forwarded port.
//
// Forwarded ports are in two maps of the table, so a port costs one element and no rule. Refused
// packets are answered (ICMP, administratively prohibited), so nothing inside waits for a time-out.
// Private networks that this machine reaches, a LAN or other engines' containers, are reached as
// the rest of the world is; Options.Deny can say otherwise.
//
// Only IPv4: the links have no IPv6 address, and IPv6 packets of a sandbox that gives itself one
// are dropped.
//
// # What is changed beside
//
// The kernel forwards a packet only if its incoming interface is set to. Where net.ipv4.ip_forward
// is 0, forwarding is switched on for the interfaces that lead to gateways, not for the whole
// machine. The Sweep that finds no sandbox left switches it off again. Such an interface then
// forwards for its network as a router would, as on any machine with Docker. Another firewall's
// rules also hold: our accept does not overrule its drop. Examine looks for those.
//
// All of it dies with the machine's restart, and a pair of links also when the sandbox's name space
// ends, some time after its last process.
package network
