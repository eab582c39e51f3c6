// Package allocate decides which instances a request gets, what is made for it, whose turn it is in
// the queue, and what makes room. A decision goes by a View: what the store has, what the sources
// are, and what the engine knows of their providers. It writes nothing and waits for nothing. It
// returns what it changes, in order, and the engine writes that in the same transaction.
//
//	got, err := allocate.Acquire(view, allocate.Request{Request: req, Source: source})
//	if short := (*allocate.ShortError)(nil); errors.As(err, &short) {
//		// nothing is free for it now, and short says why
//	}
//	for _, c := range got.Changes {
//		// write c
//	}
//
// The same view and request give the same result.
package allocate
