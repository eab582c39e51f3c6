// Package ticks measures the processor's time stamp counter.
package ticks
