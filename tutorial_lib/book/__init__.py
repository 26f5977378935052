"""What only the book needs: its data, experiments, stored results, figures, controls and claims."""
