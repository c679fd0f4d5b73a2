"""Pictures of unknown origin: decoded, judged, made anew and laid out, in a limited child."""
