"""What runs inside the guests; each public function returns what it saw, as JSON."""
