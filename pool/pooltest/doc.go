// Package pooltest simulates the lease engine: several processes on one store, whose users do one
// thing after the other while processes die, calls fail and answers are lost. Time passes in a
// bubble, one goroutine goes on at a time, and a scenario says what there is and what is done; what
// it leaves open falls by its seed. Judges look at each transaction and at each answer: no instance
// is given twice, none is lost, quotas and turns are kept, what was promised is there.
//
//	o := pooltest.Run(t, pooltest.Seed(7))   // drawn by a seed
//	o.Did.Write(file)                        // what was done, to do again in another version
//	s, err := pooltest.Read(file)
//	pooltest.Run(t, s)
//
// It also has an engine over computers in memory, for tests that need no more than one: New.
package pooltest
