// Package standalone runs a whole SlapOS in one directory of an ordinary user: a master, a node and
// its supervisor, for tests and for trying things out. All processes are the program hostler; [Lay]
// only lays out its settings and directories.
//
//	s, err := standalone.Start(ctx, standalone.StartOptions{Options: standalone.Options{Dir: dir, Partitions: 2}})
//	defer s.Stop(0)
//	err = s.Supply(ctx, release)
//	err = s.WaitForSoftware(ctx, standalone.WaitOptions{})
//	_, err = s.Request(ctx, &proto.Request{Title: "web", Release: release})
//	err = s.WaitForInstance(ctx, standalone.WaitOptions{Retries: 5})
package standalone
