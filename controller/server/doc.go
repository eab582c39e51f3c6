// Package server is a controller's HTTP API: the operations of package pool, for remote callers. It
// speaks the documents of package api and makes no decisions about instances and leases.
// `GET /openapi.json` describes it.
//
// Each noun of the API has a type here: leases, instances, sources, queue, journal and so on. What
// they share is below: package route has the table of operations, package request what is known of
// one request.
//
// # Who may do what
//
// Package access decides that, and nothing else does. Every request passes its Gate: the caller
// must be known and have the permission that the route declares. Only the few paths of
// route.IsOpen and routes for auth.Anyone are open to everybody.
//
// # A new route
//
// Every operation declares the permission that the caller needs:
//
//	op := huma.Operation{OperationID: "list-things", Extensions: route.Needs(auth.See)}
//	route.Add(t, op, s.list)
//
// A handler that huma does not serve, such as a WebSocket, is added with the same description by
// t.AddRaw. A route without a permission is refused to everybody, and TestDeclared fails.
//
// The permission only says that the caller has it in some project. A handler must check the thing
// itself by access.Rules:
//
//	request.Caller(ctx)                              the caller
//	access.Who(ctx, in.Any, in.Token, auth.Release)  for whom the engine acts, within its projects
//	rules.SeesLease(request.Caller(ctx), lease)      false: answer "not found", leave out of lists
//
// TestWalk has a table of callers and what they may do. A new operation needs a line there.
package server
