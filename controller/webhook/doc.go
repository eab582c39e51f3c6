// Package webhook tells other programs by HTTP what happens: the events of the journal that a hook
// asks for, in their order, each at least once. How far each hook has come is kept in the store, so
// nothing is lost by a restart; where a receiver does not answer its hook waits and tries again,
// with growing pauses, and no other hook waits for it, nor does anything pile up in memory: what is
// to be told stands in the journal.
//
// Each delivery is signed with the hook's secret; Verify is the other side. Addresses are the
// administrator's own, so they may lead anywhere that he says; what they answer is looked at for
// nothing but its status, and redirects are not followed, so that a receiver cannot send us
// elsewhere.
package webhook
