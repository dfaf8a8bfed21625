"""What a comparison found, as tables and figures. No torch is imported here."""
