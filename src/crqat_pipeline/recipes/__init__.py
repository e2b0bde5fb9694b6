"""The only room that wires objects together; no Kedro (floor 4)."""
