// Package port connects to the ports by which the agent in a machine is reached.
package port
